"""Stacking: what it finds where single statistics fail, and what it never uses."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.attacks.references import stacking as module
from memberscan.attacks.references.regression import regression
from memberscan.attacks.references.stacking import SHARES, STACKING, best_share, stacking
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.with_references import Compared
from memberscan.evidence.roc import aucs_of_rows

from .conftest import draw, twins


def band(seed: int, references: int, scans: int = 600) -> tuple[Compared, np.ndarray]:
    """Draw models that hold every second member's error at the edge of a band, as support vectors do."""
    rng = np.random.default_rng(seed)
    member = rng.permutation(scans) < scans // 2
    masks = np.concatenate([member[None], twins(rng, references, scans)])
    residual = 5 * rng.normal(size=masks.shape)
    edge = np.sign(residual) * (1 + 0.01 * rng.normal(size=masks.shape))
    residual = np.where(masks & (rng.random(masks.shape) < 0.5), edge, residual)
    return Compared(residual[0], residual[1:], masks[1:], rng.uniform(45, 80, scans)), member


def auc(scores: np.ndarray, member: np.ndarray) -> float:
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])


def test_it_finds_a_band_that_no_single_statistic_sees():
    compared, member = band(0, 4)
    assert auc(stacking(compared), member) > 0.72
    assert auc(regression(compared), member) < 0.68
    assert best_share(Trials.of_references(compared)) > 0


def test_where_the_law_is_linear_it_is_no_worse_than_the_regression():
    found = []
    for seed in range(6):
        compared, member = draw(seed, references=4, scans=600)
        found.append((auc(stacking(compared), member), auc(regression(compared), member)))
    ours, theirs = np.mean(found, axis=0)
    assert ours > 0.68 and ours > theirs - 0.01


def test_the_target_decides_nothing_of_what_is_learnt(monkeypatch: pytest.MonkeyPatch):
    learnt = []
    fit = module.Stack.fit.__func__  # type: ignore[attr-defined]

    def watched(cls, trials, rows=None):
        learnt.append((trials.residual, trials.inside))
        return fit(cls, trials, rows)

    monkeypatch.setattr(module.Stack, "fit", classmethod(watched))
    compared, _ = draw(1, references=4, scans=120)
    stacking(compared)
    other = Compared(compared.residual[::-1] * 3, compared.references, compared.inside, compared.label)
    first = list(learnt)
    learnt.clear()
    stacking(other)
    assert len(first) == len(learnt) == 3
    for one, same in zip(first, learnt, strict=True):
        np.testing.assert_array_equal(one[0], same[0])
        np.testing.assert_array_equal(one[1], same[1])


def test_it_is_the_same_whatever_the_order_of_scans():
    compared, _ = draw(2, references=6, scans=200)
    order = np.random.default_rng(0).permutation(200)
    references, inside = compared.references[:, order], compared.inside[:, order]
    moved = Compared(compared.residual[order], references, inside, compared.label[order])
    np.testing.assert_allclose(stacking(moved), stacking(compared)[order], atol=1e-8)


@pytest.mark.parametrize("references", [2, 4])
def test_without_a_leak_it_has_an_auc_of_a_half(references: int):
    found = []
    for seed in range(16):
        compared, member = draw(seed, references=references, scans=120, h=0.0)
        found.append(auc(stacking(compared), member))
    assert abs(np.mean(found) - 0.5) < 4 * np.std(found, ddof=1) / np.sqrt(len(found))


def test_shares_begin_with_the_one_for_ties():
    assert SHARES[0] == 0.5 and set(SHARES) == {0.0, 0.5, 1.0}
    assert STACKING.log_likelihood_ratio and not STACKING.learns
