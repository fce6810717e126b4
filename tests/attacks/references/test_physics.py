"""The Gaussian linear model, where everything is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.attacks import REGISTRY
from memberscan.attacks.references.leverage import leverage
from memberscan.attacks.references.lira import shrunk_ratio
from memberscan.attacks.references.moments import normal
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.with_references import ReferenceAttack
from memberscan.evidence.roc import aucs_of_rows

from .conftest import draw, twins


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_training_on_a_scan_divides_its_residual_by_one_plus_leverage(penalty: float):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 8)), rng.normal(size=40)
    new, age = rng.normal(size=8), 1.7
    gram = x.T @ x + penalty * np.eye(8)
    without = age - new @ np.linalg.solve(gram, x.T @ y)
    within = age - new @ np.linalg.solve(gram + np.outer(new, new), x.T @ y + new * age)
    h = new @ np.linalg.solve(gram, new)
    assert within == pytest.approx(without / (1 + h), rel=1e-12)


ORACLE = [(0.25, 0.627, 0.0291), (1.0, 0.746, 0.0406), (2.0, 0.819, 0.048)]
"""Leverage, and the AUC and rate at 1% false positives of the exact likelihood ratio."""


def linear(
    rng: np.random.Generator, h: float, references: int, scans: int, targets: int
) -> tuple[Trials, np.ndarray, np.ndarray]:
    """Draw targets and references, the targets' members, and the deviation of each scan."""
    inside = np.concatenate([rng.random((targets, scans)) < 0.5, twins(rng, references, scans)])
    own = rng.normal(size=scans)
    residual = (own + np.sqrt(h) * rng.normal(size=inside.shape)) / np.where(inside, 1 + h, 1)
    used = np.ones((targets, references))
    age = rng.uniform(45, 80, scans)
    trials = Trials(residual[:targets], residual[targets:], inside[targets:], used, age)
    return trials, inside[:targets], own


def rates(scores: np.ndarray, member: np.ndarray) -> tuple[float, float]:
    """Return the AUC, and the true positive rate at 1% false positives, over all targets together."""
    threshold = np.quantile(scores[~member], 0.99)
    auc = float(np.mean(aucs_of_rows(scores, member.astype(float))))
    return auc, float(np.mean(scores[member] > threshold))


@pytest.mark.parametrize("h", [0.1, 0.5, 1.0, 4.0])
def test_the_error_attack_has_its_closed_form(h: float):
    trials, member, _ = linear(np.random.default_rng(1), h, 2, 4000, 40)
    auc, _ = rates(-np.abs(trials.residual), member)
    assert auc == pytest.approx(2 / np.pi * np.arctan(1 + h), abs=0.004)


@pytest.mark.parametrize(("h", "auc", "rate"), ORACLE)
def test_likelihood_ratios_meet_the_oracle(h: float, auc: float, rate: float):
    trials, member, own = linear(np.random.default_rng(2), h, 200, 4000, 40)
    variance = np.full_like(trials.residual, h)
    oracle = normal(trials.residual - own / (1 + h), variance / (1 + h) ** 2)
    found = rates(oracle - normal(trials.residual - own, variance), member)
    assert found[0] == pytest.approx(auc, abs=0.003) and found[1] == pytest.approx(rate, abs=0.004)
    # With two hundred references little is left to estimate; leverage-LiRA knows the law, so kappa is 1.
    for scores in (shrunk_ratio(trials), leverage(trials, kappa=1.0)):
        auc_found, rate_found = rates(scores, member)
        assert found[0] - 0.012 < auc_found < found[0] + 0.003
        assert rate_found == pytest.approx(found[1], abs=0.008)


@pytest.mark.parametrize("name", sorted(n for n, a in REGISTRY.items() if isinstance(a, ReferenceAttack)))
def test_no_attack_beats_the_oracle_and_all_beat_chance(name: str):
    attack, found = REGISTRY[name], []
    assert isinstance(attack, ReferenceAttack)
    for seed in range(4 if name == "stacking" else 12):
        compared, member = draw(seed, references=16, scans=1000)
        found.append(aucs_of_rows(attack.statistic(compared)[None], member[None].astype(float))[0])
    error = np.std(found, ddof=1) / np.sqrt(len(found)) + 0.002
    assert 0.6 < np.mean(found) < 0.746 + 3 * error
    if attack.log_likelihood_ratio and name not in ("lira", "lira:fixed-variance"):
        # Better than the error alone, which has (2 / pi) arctan(2).
        assert np.mean(found) > 0.705
