"""What attacks show by chance alone: refitted with membership permuted, and how often."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from memberscan import seeds
from memberscan.attacks import REGISTRY, Attack, null
from memberscan.attacks.attempt import carry_out, observe
from memberscan.attacks.null import refitted_null_aucs
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import Estimates, estimate_aucs
from memberscan.evidence.scores import Scores
from memberscan.signals import View
from memberscan.targets.known import draws

from .conftest import Simulate, attempt_all, table_of

OUTPUTS = [REGISTRY[name] for name in ("error", "prediction+label", "error:zero-knowledge")]


def null_of(attacks: list[Attack], view: View, member: pd.Series, permutations: int, **options) -> np.ndarray:
    observed = [(attack, observe(attack, view)) for attack in attacks]
    return refitted_null_aucs(observed, table_of(view, member, **options), permutations)


def test_the_null_is_centred_and_the_observed_auc_is_one_of_its_kind(simulate: Simulate):
    view, member = simulate(np.random.default_rng(3), 60)
    aucs = null_of([*OUTPUTS, REGISTRY["gradient:conv6"]], view, member, 120, repeats=2)
    assert aucs.shape == (120, 4)
    error = aucs.std(axis=0, ddof=1) / np.sqrt(len(aucs))
    np.testing.assert_array_less(np.abs(aucs.mean(axis=0) - 0.5), 4 * error)
    assert (aucs.std(axis=0) > 0.02).all()


def test_the_null_permutes_before_it_draws(simulate: Simulate):
    """With a leak, attacks refitted on permuted labels must still find nothing."""
    view, member = simulate(np.random.default_rng(4), 100, leak=3.0)
    assert estimate_aucs(attempt_all(OUTPUTS, view, member, repeats=2), DeLong()).auc.min() > 0.7
    assert abs(null_of(OUTPUTS, view, member, 60, repeats=2).mean() - 0.5) < 0.03


def test_the_null_s_auc_is_that_of_scikit_learn(simulate: Simulate):
    view, member = simulate(np.random.default_rng(5), 40)
    target = table_of(view, member, repeats=3)
    attack, features = OUTPUTS[1], observe(OUTPUTS[1], view)
    found = refitted_null_aucs([(attack, features)], target, 4)
    for b in range(4):
        rng = seeds.generator(target.seed, "null", b)
        labels = rng.permutation(target.member)
        scores = carry_out(attack, features, draws(labels, target.threat, rng), target.people)
        assert scores is not None
        aucs = [
            roc_auc_score(labels[kept], row[kept])
            for kept, row in zip(scores.compared, scores.values, strict=True)
        ]
        assert found[b, 0] == pytest.approx(np.mean(aucs), abs=1e-12)


def test_permutations_do_not_depend_on_how_many_are_asked_for(simulate: Simulate):
    view, member = simulate(np.random.default_rng(6), 40)
    three = null_of(OUTPUTS[:1], view, member, 3, repeats=1)
    np.testing.assert_array_equal(null_of(OUTPUTS[:1], view, member, 7, repeats=1)[:3], three)
    assert not np.array_equal(null_of(OUTPUTS[:1], view, member, 3, repeats=1, seed=1), three)


@pytest.mark.parametrize(
    ("side", "auc", "expected"), [(29, 0.9, 1000), (29, 0.5, 199), (40, 0.9, 199), (400, 0.9, 99)]
)
def test_the_number_of_permutations_follows_the_number_of_subjects(side, auc, expected, monkeypatch):
    member = np.arange(2 * side) < side
    attack = Scores.of_draws(
        "a", fitted=False, values=np.zeros((1, 2 * side)), member=member, thresholds=np.zeros(1)
    )
    one, sides = np.ones(1), np.array([side])
    estimates = Estimates(("a",), np.array([auc]), 0.05 * one, np.eye(1), sides, sides, one)
    numbers = []

    def refitted(observed, target, permutations, *, first=0):
        numbers.extend(range(first, first + permutations))
        return np.random.default_rng(first).normal(0.5, 0.05, (permutations, 1))

    monkeypatch.setattr(null, "refitted_null_aucs", refitted)
    found = null.by_chance(SimpleNamespace(member=member), [], [attack], estimates, refit=True)
    assert found.permutations == expected and numbers == list(range(expected))
