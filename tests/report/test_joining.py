"""Means over sites agree with a naive twin, hold at the edges, and their intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.report import joining
from memberscan.report.content.federation_json import AfterRound
from memberscan.report.content.parts import Estimate


def naive_mean(estimates: list[Estimate]) -> tuple[float, float, float]:
    """The same, one site after the other, with the logit written out."""
    z = 1.959963984540054
    total = variance = 0.0
    for e in estimates:
        total += e.value
        if e.low > 0 and e.high < 1:
            length = math.log(e.high / (1 - e.high)) - math.log(e.low / (1 - e.low))
            error = e.value * (1 - e.value) * length / (2 * z)
        else:
            error = max(e.high - e.value, e.value - e.low) / z
        variance += error**2
    mean = total / len(estimates)
    half = z * math.sqrt(variance) / len(estimates) / (mean * (1 - mean))
    middle = math.log(mean / (1 - mean))
    low, high = (1 / (1 + math.exp(-(middle + sign * half))) for sign in (-1, 1))
    return mean, low, high


fractions = st.tuples(*[st.floats(0.01, 0.99)] * 3).map(sorted)
estimates = fractions.map(lambda ends: Estimate(low=ends[0], value=ends[1], high=ends[2]))


@given(st.lists(estimates, min_size=2, max_size=8))
def test_the_mean_against_a_naive_twin(given_: list[Estimate]) -> None:
    mean = joining.mean_over_sites(given_)
    assert (mean.value, mean.low, mean.high) == pytest.approx(naive_mean(given_))
    again = joining.mean_over_sites(given_[::-1])
    assert (again.value, again.low, again.high) == pytest.approx((mean.value, mean.low, mean.high))


def test_one_site_is_left_as_it_is() -> None:
    one = Estimate(value=0.7, low=0.6, high=0.8, level=0.95)
    assert joining.mean_over_sites([one]).dump() == {"value": 0.7, "low": 0.6, "high": 0.8}


def test_an_interval_on_the_logit_scale_comes_back() -> None:
    """Two sites with one estimate halve its variance."""
    value, error = 0.8, 0.3
    middle = math.log(value / (1 - value))
    low, high = (1 / (1 + math.exp(-(middle + sign * 1.959964 * error))) for sign in (-1, 1))
    mean = joining.mean_over_sites([Estimate(value=value, low=low, high=high)] * 2)
    width = math.log(mean.high / (1 - mean.high)) - math.log(mean.low / (1 - mean.low))
    assert width == pytest.approx(2 * 1.959964 * error / math.sqrt(2), rel=1e-6)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_the_edges_keep_a_width(end: float) -> None:
    sure = Estimate(value=end, low=min(end, 0.9), high=max(end, 0.1))
    for sites in ([sure, sure], [sure, Estimate(value=0.6, low=0.5, high=0.7)]):
        mean = joining.mean_over_sites(sites)
        assert 0 <= mean.low <= mean.value <= mean.high <= 1
        assert mean.high - mean.low > 0.05


def test_intervals_cover_the_mean_of_unlike_sites() -> None:
    """Sites of 12 to 120 people with AUCs of their own; intervals by DeLong on the logit scale."""
    rng = np.random.default_rng(7)
    shifts, sizes = np.array([0.2, 0.6, 1.0, 1.4]), (12, 30, 60, 120)
    truth = float(np.mean([0.5 * (1 + math.erf(s / 2)) for s in shifts]))
    covered = 0
    for _ in range(400):
        sites = []
        for shift, size in zip(shifts, sizes, strict=True):
            members, others = rng.normal(shift, 1, size), rng.normal(0, 1, size)
            wins = (members[:, None] > others).astype(float)
            value = float(np.clip(wins.mean(), 0.5 / size, 1 - 0.5 / size))
            variance = wins.mean(1).var(ddof=1) / size + wins.mean(0).var(ddof=1) / size
            half = 1.959964 * max(variance, 1e-4) ** 0.5 / (value * (1 - value))
            middle = math.log(value / (1 - value))
            low, high = (1 / (1 + math.exp(-(middle + sign * half))) for sign in (-1, 1))
            sites.append(Estimate(value=value, low=low, high=high))
        mean = joining.mean_over_sites(sites)
        covered += mean.low <= truth <= mean.high
    assert 0.92 <= covered / 400 <= 0.98


def test_rows_are_joined_by_key_and_sorted() -> None:
    one = Estimate(value=0.6, low=0.5, high=0.7)

    def row(number: int, auc: Estimate | None) -> AfterRound:
        return AfterRound(round=number, attack="error", auc=auc, accuracy=None)

    parts = [[row(2, one), row(1, None)], [row(2, None)]]
    assert joining.rows(parts, lambda r: r.round, ("auc",)) == (row(1, None), row(2, one))
