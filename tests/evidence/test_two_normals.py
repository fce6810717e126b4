"""Closed forms against counts over quantiles, and the closed forms of the theory of linear models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import norm

from memberscan.evidence.two_normals import TwoNormals

Q = (np.arange(20_000) + 0.5) / 20_000
means = st.floats(-4, 4)
variances = st.floats(-6, 6).map(np.exp)


def one(mean_in: float, variance_in: float, mean_out: float, variance_out: float) -> TwoNormals:
    return TwoNormals(*(np.array([v]) for v in (mean_in, variance_in, mean_out, variance_out)))


def naive(laws: TwoNormals, rate: float) -> tuple[float, float, float]:
    """Return AUC, power at a rate, and total variation by counting quantiles of both laws."""
    inside = laws.log_ratio((laws.mean_in + np.sqrt(laws.variance_in) * ndtri(Q))[:, None]).ravel()
    outside = np.sort(
        laws.log_ratio((laws.mean_out + np.sqrt(laws.variance_out) * ndtri(Q))[:, None]).ravel()
    )
    below = np.searchsorted(outside, inside, "left") + np.searchsorted(outside, inside, "right")
    threshold = np.quantile(outside, 1 - rate)
    return (
        float(below.mean() / 2 / len(Q)),
        float((inside > threshold).mean()),
        float((inside > 0).mean() - (outside > 0).mean()),
    )


@given(means, variances, means, variances)
def test_against_counts(mean_in: float, variance_in: float, mean_out: float, variance_out: float) -> None:
    # Where laws differ by rounding only, the ratios that are counted are rounding too.
    apart = max(abs(mean_in - mean_out), abs(variance_in / variance_out - 1))
    assume(apart == 0 or apart > 1e-6)
    laws = one(mean_in, variance_in, mean_out, variance_out)
    auc, power, variation = naive(laws, 0.05)
    assert laws.auc[0] == pytest.approx(auc, abs=2e-3)
    assert laws.total_variation[0] == pytest.approx(variation, abs=2e-3)
    if abs(variance_in / variance_out - 1) > 1e-3 or abs(mean_in - mean_out) > 0.05:
        assert laws.true_positive_rate(0.05)[0] == pytest.approx(power, abs=2e-2)


@given(means, variances, means, variances, st.floats(0.1, 10), st.floats(-3, 3))
def test_neither_unit_nor_origin_matters(
    mean_in: float, variance_in: float, mean_out: float, variance_out: float, unit: float, origin: float
) -> None:
    laws = one(mean_in, variance_in, mean_out, variance_out)
    moved = one(
        unit * mean_in + origin, unit**2 * variance_in, unit * mean_out + origin, unit**2 * variance_out
    )
    assert moved.auc[0] == pytest.approx(laws.auc[0], abs=1e-6)
    assert moved.total_variation[0] == pytest.approx(laws.total_variation[0], abs=1e-5)
    assert 0.5 - 1e-6 <= laws.auc[0] <= 1 + 1e-12
    assert laws.true_positive_rate(0.01)[0] >= 0.01 - 1e-6
    # What the AUC can be at a distance in total variation.
    distance = laws.total_variation[0]
    assert (1 + distance) / 2 - 1e-5 <= laws.auc[0] <= 1 - (1 - distance) ** 2 / 2 + 1e-5


@pytest.mark.parametrize("h", [0.05, 0.5, 1.0, 4.0])
def test_a_narrower_law_gives_the_closed_forms_of_the_loss_attack(h: float) -> None:
    laws = one(0.0, 1 / (1 + h) ** 2, 0.0, 1.0)
    assert laws.auc[0] == pytest.approx(2 / np.pi * np.arctan(1 + h), abs=1e-9)
    k = 1 + h
    t = np.sqrt(2 * np.log(k) / (k**2 - 1))
    assert laws.total_variation[0] == pytest.approx(2 * (norm.cdf(k * t) - norm.cdf(t)), abs=1e-9)
    z = norm.ppf((1 + 0.01) / 2)
    assert laws.true_positive_rate(0.01)[0] == pytest.approx(2 * norm.cdf(k * z) - 1, abs=1e-9)


def test_equal_laws_are_a_coin_and_equal_variances_a_shift() -> None:
    assert one(1.0, 2.0, 1.0, 2.0).auc[0] == pytest.approx(0.5, abs=1e-5)
    assert one(1.0, 2.0, 1.0, 2.0).total_variation[0] == pytest.approx(0.0, abs=1e-5)
    shifted = one(1.0, 1.0, 0.0, 1.0)
    assert shifted.auc[0] == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=1e-5)
    assert shifted.true_positive_rate(0.05)[0] == pytest.approx(norm.sf(norm.isf(0.05) - 1), abs=1e-5)
    assert shifted.moved(np.array([-1.0]), np.array([0.0])).auc[0] == pytest.approx(0.5, abs=1e-5)
