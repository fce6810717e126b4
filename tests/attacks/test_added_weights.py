"""What weights add to a score, in simulation: nothing where there is nothing, else what they tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri
from scipy.stats import rankdata

from memberscan.attacks.added_weights import TRUST, with_weights
from memberscan.attacks.attack import Features
from memberscan.attacks.attempt import one_thread
from memberscan.attacks.learner import joined, narrowed, ridge, standardise
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import Difference, estimate_aucs, paired_difference
from memberscan.evidence.scores import Scores
from memberscan.people import People
from memberscan.targets.known import Comparison, draws
from memberscan.threat import ThreatModel

WIDTHS = (14, 60)
"""Columns of two kinds of signals, such as norms by layer and activations."""


def kinds(values: Sequence[np.ndarray]) -> list[Features]:
    """Return signals as learned attacks keep them: each kind with a total variance of 1."""
    index = pd.RangeIndex(len(values[0])).map(str)
    return [Features(index, joined([[standardise(each)]])) for each in values]


def compared(
    value: np.ndarray, signals: Sequence[Features], member: np.ndarray, scans: int = 1
) -> tuple[Scores, Scores, list[Comparison]]:
    """Return a score with and without signals, in five times two halves."""
    people = People.of(pd.Series(np.repeat([f"p{k:04d}" for k in range(len(member))], scans)))
    everybody = Scores.of_draws(
        "score", fitted=False, values=value[None], member=member, thresholds=np.zeros(1)
    )
    rows = draws(member, ThreatModel(), np.random.default_rng(0))
    with one_thread():
        return (*with_weights("score+weights", everybody, signals, rows, people), rows)


def difference(seed: int, *, leak: float, gain: float = 0.0, each: int = 60) -> Difference:
    """Simulate people whose score tells of membership, and whose signals follow the score, and may add."""
    rng, member = np.random.default_rng(seed), np.arange(2 * each) < each
    value = rng.normal(size=2 * each) + leak * member
    signals = [rng.normal(size=(2 * each, width)) + 0.5 * value[:, None] for width in WIDTHS]
    signals[0] += gain * member[:, None]
    alone, added, _ = compared(value, kinds(signals), member)
    return paired_difference(added, alone, DeLong())


@pytest.mark.parametrize("width", [5, 400])
def test_the_rule_is_a_ridge_classifier_of_both(width: int):
    rng, member = np.random.default_rng(1), np.arange(60) % 2 == 0
    value, signal = rng.normal(size=60) + member, rng.normal(size=(120, width))
    features = kinds([signal])
    alone, added, rows = compared(value, features, member, scans=2)
    of_people = features[0].values.reshape(60, 2, width).mean(axis=1)
    both = np.hstack([TRUST * standardise(ndtri(rankdata(value) / 61)[:, None]), of_people])
    for row, comparison in enumerate(rows):
        known = comparison.known.everyone
        by_hand = Features(pd.RangeIndex(60), both)
        rule = ridge(by_hand.rows(np.flatnonzero(known)), member[known])
        np.testing.assert_allclose(added.values[row, ~known], rule.score(by_hand)[~known], atol=1e-6)
        np.testing.assert_array_equal(alone.values[row, ~known], value[~known])
        assert np.isnan(added.values[row, known]).all() and np.isnan(alone.values[row, known]).all()


def test_fewer_columns_have_the_same_inner_products():
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(20, width)) for width in (3, 50)]
    found, whole = narrowed(parts), np.hstack(parts)
    assert found.shape[1] <= 20
    np.testing.assert_allclose(found @ found.T, whole @ whole.T, atol=1e-9)
    np.testing.assert_array_equal(narrowed(parts[:1]), parts[0])


@pytest.mark.parametrize("leak", [0.0, 1.0, 2.5])
def test_signals_that_only_follow_the_score_are_not_said_to_add(leak: float):
    found = [difference(seed, leak=leak) for seed in range(40)]
    covered = np.mean([each.low <= 0 <= each.high for each in found])
    assert covered >= 0.9 and np.mean([each.low > 0 for each in found]) <= 0.05
    if leak:
        # What the rule wastes on signals that tell nothing is small.
        assert -0.015 < np.mean([each.value for each in found]) <= 0


def test_signals_that_tell_more_than_the_score_are_found():
    found = [difference(seed, leak=1.0, gain=1.0) for seed in range(10)]
    assert np.mean([each.value for each in found]) > 0.03
    assert np.mean([each.low > 0 for each in found]) >= 0.7


def test_where_nothing_leaks_both_are_at_chance():
    rng, found = np.random.default_rng(3), []
    for _ in range(40):
        member = np.arange(80) < 40
        alone, added, _ = compared(
            rng.normal(size=80), kinds([rng.normal(size=(80, w)) for w in WIDTHS]), member
        )
        found.append(estimate_aucs([alone, added], DeLong()).auc)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - 0.5), 3.5 * error)
