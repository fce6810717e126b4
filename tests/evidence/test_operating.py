from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import roc_curve

from memberscan.evidence.operating import operating_points, roc_points, tpr_interval

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
        assert f"has {nonmembers}" in point.reason
        assert point.ppv == ()


def test_resolution_counts_one_draw_not_all_of_them():
    attacks, _ = simulate(np.random.default_rng(1), 50, 50, draws=20)
    assert operating_points(attacks[0])[0].value is not None
    assert operating_points(attacks[1])[0].value is None


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(float, 13, elements=st.integers(0, 9).map(float)),
    hnp.arrays(float, 37, elements=st.integers(0, 9).map(float)),
)
def test_tpr_never_exceeds_what_the_roc_curve_allows_and_lies_in_its_interval(inside, outside):
    value, low, high = tpr_interval(inside, outside, 0.1)
    fpr, tpr, _ = roc_curve(np.repeat([1, 0], [13, 37]), np.r_[inside, outside], drop_intermediate=False)
    assert value == pytest.approx(tpr[fpr <= 0.1].max())
    assert 0 <= low <= value <= high <= 1


@pytest.mark.parametrize(("shift", "fpr"), [(0.0, 0.1), (1.5, 0.1), (1.0, 0.01), (6.0, 0.01)])
def test_tpr_intervals_cover_the_tpr_at_the_true_threshold(shift, fpr):
    rng = np.random.default_rng(2)
    truth = float(stats.norm.sf(stats.norm.isf(fpr) - shift))
    hits = 0
    for _ in range(300):
        _, low, high = tpr_interval(rng.normal(size=60) + shift, rng.normal(size=400), fpr)
        hits += low <= truth <= high
    assert stats.binomtest(hits, 300, 0.95, "less").pvalue > 1e-3


def test_ppv_follows_bayes():
    member = np.arange(600) < 300
    values = np.random.default_rng(3).normal(size=600) + 2 * member
    point = operating_points(once("loss", values, member))[1]
    for ppv in point.ppv:
        expected = ppv.prior * point.value / (ppv.prior * point.value + (1 - ppv.prior) * 0.01)
        assert ppv.value == pytest.approx(expected)
        assert ppv.low <= ppv.value <= ppv.high
    assert [p["prior"] for p in point.to_dict()["ppv"]] == [0.5, 0.1, 0.01]


def test_curve_equals_scikit_learn_and_stays_small():
    rng = np.random.default_rng(4)
    member = np.arange(5000) < 1700
    attack = once("loss", rng.normal(size=5000) + member, member)
    fpr, tpr = roc_points(attack)
    assert len(fpr) <= 200
    assert (fpr[0], fpr[-1], tpr[-1]) == (0.0, 1.0, 1.0)
    assert (np.diff(fpr) > 0).all()
    assert (np.diff(tpr) >= 0).all()
    reference = roc_curve(member, attack.values[0], drop_intermediate=False)
    for x, y in zip(fpr, tpr, strict=True):
        assert y == pytest.approx(reference[1][reference[0] <= x + 1e-12].max())


def test_curve_is_averaged_over_draws():
    attacks, member = simulate(np.random.default_rng(5), 40, 44, shift=1.0, draws=3)
    each = [roc_points(fitted("one", row[None], member))[1] for row in attacks[1].values]
    np.testing.assert_allclose(roc_points(attacks[1])[1], np.mean(each, axis=0))
