from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import roc_curve

from memberscan.evidence.operating import clopper_pearson, operating_points, roc_points, tpr_interval

from .simulated import fitted, once, simulate


@pytest.mark.parametrize(("nonmembers", "resolved"), [(29, 0), (30, 1), (299, 1), (300, 2), (3000, 3)])
def test_rates_that_the_nonmembers_cannot_resolve_are_not_given(nonmembers, resolved):
    member = np.arange(nonmembers + 20) < 20
    values = np.random.default_rng(0).normal(size=len(member))
    points = operating_points(once("loss", values, member))
    assert [p.fpr for p in points] == [0.1, 0.01, 0.001]
    assert [p.value is not None for p in points] == [k < resolved for k in range(3)]
    for point in points[resolved:]:
        assert point.to_dict()["low"] is None
        assert f"there are {nonmembers}" in point.reason
        assert point.ppv == ()


def test_resolution_counts_one_draw_not_all_of_them():
    attacks, _ = simulate(np.random.default_rng(1), 50, 50, draws=20)
    assert operating_points(attacks[0])[0].value is not None
    assert operating_points(attacks[1])[0].value is None


def conformal_tpr(inside, outside, fpr):
    """Return the share of members whose conformal p-value among the non-members is at most ``fpr``."""
    count = len(outside)
    caught = [s for s in inside if round(1e6 * fpr) * (count + 1) >= 1e6 * (1 + sum(outside >= s))]
    return len(caught) / len(inside)


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(float, 13, elements=st.integers(0, 9).map(float)),
    hnp.arrays(float, st.integers(2, 60), elements=st.integers(0, 9).map(float)),
    st.sampled_from([0.001, 0.01, 0.1, 0.2]),
)
def test_tpr_counts_members_with_small_conformal_p_values_and_lies_in_its_interval(inside, outside, fpr):
    value, low, high = tpr_interval(inside, outside, fpr)
    assert value == pytest.approx(conformal_tpr(inside, outside, fpr))
    assert 0 <= low <= value <= high <= 1
    rates, tpr, _ = roc_curve(
        np.repeat([1, 0], [13, len(outside)]), np.r_[inside, outside], drop_intermediate=False
    )
    assert value <= tpr[rates <= fpr].max()


@pytest.mark.parametrize(
    ("nonmembers", "fpr"), [(30, 0.1), (40, 0.1), (120, 0.1), (300, 0.01), (399, 0.01), (3000, 0.001)]
)
def test_expected_false_positive_rate_is_at_most_the_nominal_one(nonmembers, fpr):
    """The false-positive rate of the k-th largest of n uniform scores is Beta(k, n + 1 - k)."""
    rng = np.random.default_rng(7)
    inside = np.linspace(0, 1, 4001)
    found = [tpr_interval(inside, rng.uniform(size=nonmembers), fpr)[0] for _ in range(400)]
    rank = int(fpr * (nonmembers + 1) + 1e-9)
    expected = rank / (nonmembers + 1)
    assert expected <= fpr + 1e-12
    # Members are spread as non-members are, so that the true-positive rate is the false-positive rate.
    error = np.sqrt(expected * (1 - expected) / (nonmembers + 2) / len(found))
    assert np.mean(found) == pytest.approx(expected, abs=4 * error + 1 / 4001)


@pytest.mark.parametrize(("nonmembers", "fpr"), [(40, 0.1), (120, 0.1), (600, 0.1), (600, 0.01)])
@pytest.mark.parametrize("shift", [0.0, 1.5, 6.0])
def test_tpr_intervals_cover_the_tpr_at_the_true_threshold(nonmembers, shift, fpr):
    rng = np.random.default_rng(2)
    truth = float(stats.norm.sf(stats.norm.isf(fpr) - shift))
    hits = 0
    for _ in range(150):
        _, low, high = tpr_interval(rng.normal(size=60) + shift, rng.normal(size=nonmembers), fpr)
        hits += low <= truth <= high
    assert hits >= 0.93 * 150


def test_draws_of_one_rule_count_everybody_whom_some_draw_scores():
    """Two repeats of two halves: an interval is that of 120 people a side, of which a draw has 60."""
    rng = np.random.default_rng(8)
    member = np.arange(240) < 120
    truth = float(stats.norm.sf(stats.norm.isf(0.1) - 1.5))
    hits, widths = 0, []
    for _ in range(150):
        values = rng.normal(size=240) + 1.5 * member
        halves = [np.r_[rng.permutation(120) < 60, rng.permutation(120) < 60] for _ in range(2)]
        rows = np.stack([np.where(half, np.nan, values) for one in halves for half in (one, ~one)])
        attack = fitted("one rule", rows, member)
        assert attack.people_counted == pytest.approx((120, 120))
        together, everybody = (operating_points(each)[0] for each in (attack, once("all", values, member)))
        (alone, *_) = (tpr_interval(*sides, 0.1) for sides in attack.split())
        hits += together.low <= truth <= together.high
        widths.append([p.high - p.low for p in (together, everybody)] + [alone[2] - alone[1]])
    assert hits >= 0.93 * 150
    of_draws, of_everybody, of_one = np.mean(widths, axis=0)
    assert of_draws < 1.1 * of_everybody and of_draws < 0.85 * of_one


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(float, 13, elements=st.integers(0, 9).map(float)),
    hnp.arrays(float, st.integers(20, 60), elements=st.integers(0, 9).map(float)),
    st.sampled_from([0.01, 0.1, 0.2]),
    st.floats(0.3, 3),
)
def test_more_people_narrow_the_interval_and_fewer_widen_it(inside, outside, fpr, times):
    value, low, high = tpr_interval(inside, outside, fpr)
    own = (len(inside), len(outside))
    assert tpr_interval(inside, outside, fpr, (own, own)) == (value, low, high)
    other = (times * len(inside), round(times * len(outside)))
    same, other_low, other_high = tpr_interval(inside, outside, fpr, (other, other))
    assert same == value and 0 <= other_low <= value <= other_high <= 1
    many = (1e6, 10**6)
    assert other_low <= tpr_interval(inside, outside, fpr, (many, many))[1] + 1e-9


def test_decisions_of_unstable_fits_count_fewer_people():
    attacks, _ = simulate(np.random.default_rng(9), 80, 80, shift=1.0)
    stable, unstable = (operating_points(attacks[1], (factor, factor))[0] for factor in (1.0, 2.0))
    assert unstable.low < stable.low < stable.value == unstable.value < stable.high < unstable.high


def test_ppv_follows_bayes():
    member = np.arange(600) < 300
    values = np.random.default_rng(3).normal(size=600) + 2 * member
    point = operating_points(once("loss", values, member))[1]
    for ppv in point.ppv:
        expected = ppv.prior * point.value / (ppv.prior * point.value + (1 - ppv.prior) * 0.01)
        assert ppv.value == pytest.approx(expected)
        assert ppv.low <= ppv.value <= ppv.high
    assert [p["prior"] for p in point.to_dict()["ppv"]] == [0.5, 0.1, 0.01]


def test_curve_agrees_with_the_rates_and_stays_small():
    rng = np.random.default_rng(4)
    member = np.arange(5000) < 1700
    attack = once("loss", rng.normal(size=5000) + member, member)
    fpr, tpr = roc_points(attack)
    assert len(fpr) <= 200
    assert (fpr[0], fpr[-1], tpr[-1]) == (0.0, 1.0, 1.0)
    assert (np.diff(fpr) > 0).all()
    assert (np.diff(tpr) >= 0).all()
    inside, outside = attack.split()[0]
    for x, y in zip(fpr, tpr, strict=True):
        assert y == pytest.approx(tpr_interval(inside, outside, x)[0])


def test_curve_is_averaged_over_draws():
    attacks, member = simulate(np.random.default_rng(5), 40, 44, shift=1.0, draws=3)
    each = [roc_points(fitted("one", row[None], member))[1] for row in attacks[1].values]
    np.testing.assert_allclose(roc_points(attacks[1])[1], np.mean(each, axis=0))


@pytest.mark.parametrize("trials", [1, 7, 150, 2500])
def test_limits_of_proportions_are_clopper_and_pearson_s(trials: int):
    for successes in {0, 1, trials // 3, trials - 1, trials}:
        expected = stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
        assert clopper_pearson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)
