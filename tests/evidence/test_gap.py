from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence import gap as module
from memberscan.evidence.gap import accuracy_of_ratio, auc_of_ratio, gap_baseline


def test_closed_forms_match_simulated_residuals():
    rng = np.random.default_rng(0)
    for k in (1.1, 2.23, 6.0):
        inside, outside = np.abs(rng.normal(size=100_000)), np.abs(k * rng.normal(size=100_000))
        assert float(auc_of_ratio(np.array(k))) == pytest.approx(np.mean(inside < outside), abs=0.006)
        thresholds = np.linspace(0, 4 * k, 200)
        best = max((np.mean(inside < t) + np.mean(outside >= t)) / 2 for t in thresholds)
        assert float(accuracy_of_ratio(np.array(k))) == pytest.approx(best, abs=0.005)


@given(st.floats(1, 1e6))
def test_accuracy_is_at_least_one_half_and_grows_with_the_ratio(k):
    accuracy = float(accuracy_of_ratio(np.array(k)))
    assert 0.5 <= accuracy <= 1
    assert accuracy <= float(accuracy_of_ratio(np.array(1.01 * k))) + 1e-12


def test_limits():
    assert accuracy_of_ratio(np.array([0.3, 1.0, np.inf])).tolist() == [0.5, 0.5, 1.0]
    assert float(accuracy_of_ratio(np.array(1 + 1e-9))) == pytest.approx(0.5, abs=1e-8)
    np.testing.assert_allclose(auc_of_ratio(np.array([0.0, 1.0, np.inf])), [0, 0.5, 1])


def test_intervals_cover_the_true_ratio():
    rng, hits = np.random.default_rng(1), 0
    member = np.arange(160) < 80
    for _ in range(200):
        residuals = rng.normal(size=160) * np.where(member, 1.0, 1.5)
        check = gap_baseline(residuals**2, member, rng, resamples=300)
        hits += check.h.low <= 0.5 <= check.h.high
    assert stats.binomtest(hits, 200, 0.93, "less").pvalue > 1e-3


@pytest.mark.parametrize(("members", "nonmembers"), [(20, 20), (3, 41), (1, 7)])
@pytest.mark.parametrize("most", [1, 130, 10**6])
def test_resamples_are_those_drawn_one_after_the_other(
    members: int, nonmembers: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_NUMBERS", most)
    rng, squares = np.random.default_rng(7), np.random.default_rng(0).chisquare(1, members + nonmembers)
    sides = squares[:members], squares[members:]
    expected = []
    for _ in range(50):
        inside, outside = (float(side[rng.integers(len(side), size=len(side))].mean()) for side in sides)
        expected.append(float(np.sqrt(outside / inside)))
    assert list(module._resampled(sides, np.random.default_rng(7), 50)) == expected


def test_no_training_error_at_all_has_no_finite_ratio():
    member = np.arange(30) < 15
    check = gap_baseline(np.where(member, 0.0, 1.0), member, np.random.default_rng(0))
    assert check.h is None
    assert check.auc.value == check.accuracy.value == 1.0
    nothing = gap_baseline(np.zeros(30), member, np.random.default_rng(0))
    assert (nothing.h.value, nothing.auc.value) == (0.0, 0.5)


def test_the_same_seed_gives_the_same_interval():
    member = np.arange(30) < 11
    squares = np.random.default_rng(0).chisquare(1, 30)
    assert gap_baseline(squares, member, np.random.default_rng(5)) == gap_baseline(
        squares, member, np.random.default_rng(5)
    )


def test_the_normal_bootstrap_of_a_million_agrees_with_the_drawn_one(monkeypatch):
    rng = np.random.default_rng(9)
    member = np.arange(4000) < 2000
    square = rng.normal(size=4000) ** 2 * np.where(member, 9, 16)
    drawn = gap_baseline(square, member, np.random.default_rng(0))
    monkeypatch.setattr(module, "LARGEST_RESAMPLED", 3999)
    normal = gap_baseline(square, member, np.random.default_rng(0))
    assert normal.h.value == drawn.h.value
    for bound in ("low", "high"):
        assert getattr(normal.h, bound) == pytest.approx(getattr(drawn.h, bound), abs=0.01)
        assert getattr(normal.auc, bound) == pytest.approx(getattr(drawn.auc, bound), abs=0.003)
