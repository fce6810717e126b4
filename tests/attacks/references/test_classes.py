"""Attacks on classes are the published ones: LiRA on logits and RMIA on probabilities, to nine digits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.attacks.references.calibration import difficulty
from memberscan.attacks.references.confidence import base, rmia
from memberscan.attacks.references.lira import fixed_variance, log_square, usual
from memberscan.attacks.references.trials import Trials, trend
from memberscan.attacks.with_references import Compared
from memberscan.target_variable import TargetVariable

K, N = 16, 60
DX = TargetVariable("dx", classes=("AD", "CN", "MCI"))


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Compared]:
    """Return probabilities of the own class by model and references, who was in, and what is compared."""
    rng = np.random.default_rng(seed)
    inside = rng.permuted(np.repeat([[True], [False]], K // 2, axis=0).repeat(N, axis=1), axis=0)
    hard = rng.normal(1, 1, N)
    logits = rng.normal(hard + 1.5 * inside, 0.7)
    own = rng.normal(hard + 1.5 * (np.arange(N) % 2), 0.7)
    p, q = 1 / (1 + np.exp(-own)), 1 / (1 + np.exp(-logits))
    label = rng.integers(0, 3, N).astype(float)
    residuals = (DX.residual(label, np.log(each)) for each in (p, q))
    return p, q, inside, Compared(*residuals, inside, label, classes=True)


def test_lira_is_that_of_carlini_on_logit_scaled_confidences() -> None:
    p, q, inside, compared = drawn()
    own, others = np.log(p) - np.log1p(-p), np.log(q) - np.log1p(-q)
    trials = Trials.of_target(compared)
    np.testing.assert_allclose(log_square(trials).residual[0], -own, rtol=1e-9)
    by_scan, pooled = np.empty(N), np.empty(N)
    spreads = [
        np.sqrt(np.mean([others[side[:, n], n].var() for n in range(N)])) for side in (inside, ~inside)
    ]
    for n in range(N):
        values = [others[side[:, n], n] for side in (inside, ~inside)]
        logs = [stats.norm.logpdf(own[n], v.mean(), v.std()) for v in values]
        by_scan[n] = logs[0] - logs[1]
        logs = [stats.norm.logpdf(own[n], v.mean(), s) for v, s in zip(values, spreads, strict=True)]
        pooled[n] = logs[0] - logs[1]
    np.testing.assert_allclose(usual(trials)[0], by_scan, rtol=1e-9)
    np.testing.assert_allclose(fixed_variance(trials)[0], pooled, rtol=1e-9)


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
def test_rmia_is_that_of_zarifzadeh(a: float) -> None:
    p, q, inside, compared = drawn(1)
    out = np.array([q[~inside[:, n], n].mean() for n in range(N)])
    ratio = p / (((1 + a) * out + 1 - a) / 2)
    found = rmia(Trials.of_target(compared), temperature=1.0, a=a)[0]
    np.testing.assert_allclose(np.exp(found), ratio, rtol=1e-9)
    # RMIA's own score, the share of others with a smaller ratio, ranks people alike.
    share = (ratio[:, None] >= ratio).mean(axis=1)
    assert stats.spearmanr(found, share).statistic == pytest.approx(1)


def test_base_and_difficulty_are_those_of_losses() -> None:
    p, q, inside, compared = drawn(2)
    trials = Trials.of_target(compared)
    np.testing.assert_allclose(base(trials)[0], np.log(p) - np.log(q.mean(axis=0)), rtol=1e-9, atol=1e-12)
    losses = np.array([-np.log(q[~inside[:, n], n]).mean() for n in range(N)])
    np.testing.assert_allclose(difficulty(trials)[0] / 2, losses + np.log(p), rtol=1e-9, atol=1e-12)


def test_the_trend_of_classes_does_not_depend_on_their_order() -> None:
    label = np.array([0.0, 1, 2, 3, 3, 2, 1, 0])
    first, other = trend(label, classes=True), trend(3 - label, classes=True)
    np.testing.assert_array_equal(first, other[:, ::-1])
    assert trend(np.linspace(50, 80, 8), classes=False).shape == (8, 3)
    two = trend(label % 2, classes=False)
    assert np.linalg.matrix_rank(two) == two.shape[1] == 2
