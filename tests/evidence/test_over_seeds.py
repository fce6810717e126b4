"""Means over seeds: equal to loops, their intervals cover, and a paired difference is narrower."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.evidence.over_seeds import OverSeeds, auc_over_seeds, mean_over_seeds
from memberscan.evidence.roc import delong

PEOPLE = 60


def drawn(seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    member = np.stack([rng.permutation(PEOPLE) < PEOPLE // 2 for _ in range(seeds)])
    counted = rng.random((seeds, PEOPLE)) < 0.9
    return member, counted, rng.normal(size=(seeds, PEOPLE)) + member


def test_values_and_variances_are_those_of_loops_over_seeds() -> None:
    member, counted, scores = drawn(3, np.random.default_rng(0))
    found, mean = auc_over_seeds(list(scores), member, counted), mean_over_seeds(scores, counted)
    for k in range(3):
        part = counted[k]
        auc, variance = delong(scores[k][None, part], member[k][part])
        assert found.values[k] == pytest.approx(auc[0])
        assert (found.influence[k] ** 2).sum() == pytest.approx(variance[0, 0])
        assert mean.values[k] == pytest.approx(scores[k][part].mean())
        assert (mean.influence[k] ** 2).sum() == pytest.approx(stats.sem(scores[k][part]) ** 2)
    assert found.counts == ((member & counted).sum(), (~member & counted).sum())


def test_the_half_width_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    values, influence = rng.normal(size=4), rng.normal(size=(4, PEOPLE)) / 100
    people = sum(sum(influence[s, i] for s in range(4)) ** 2 for i in range(PEOPLE)) / 16
    within = sum(influence[s, i] ** 2 for s in range(4) for i in range(PEOPLE)) / 16
    between = sum((v - sum(values) / 4) ** 2 for v in values) / 3 / 4
    naive = stats.norm.ppf(0.975) ** 2 * people + stats.t.ppf(0.975, 3) ** 2 * max(0, between - within)
    assert OverSeeds(values, influence).half_width() == pytest.approx(naive**0.5)


@pytest.mark.parametrize("of_seeds", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("of_people", [0.0, 1.0])
def test_the_interval_covers_other_people_and_other_trainings(of_seeds: float, of_people: float) -> None:
    rng, tries, covered = np.random.default_rng(2), 600, 0
    for _ in range(tries):
        person, training = rng.normal(size=PEOPLE) * of_people, rng.normal(size=(3, 1)) * of_seeds
        values = person + training / PEOPLE**0.5 + rng.normal(size=(3, PEOPLE))
        interval = mean_over_seeds(values, np.ones((3, PEOPLE), dtype=bool)).interval()
        covered += interval.low <= 0 <= interval.high
    # Of 95% intervals, 600 tries give at least 0.928 in 99 of 100 cases; errors of both kinds of about the
    # same size are covered slightly less often, since the part of seeds is sometimes estimated as 0.
    assert covered / tries > 0.9


def test_a_paired_difference_does_not_have_the_errors_that_both_share() -> None:
    rng = np.random.default_rng(3)
    one = rng.normal(size=(3, PEOPLE)) * 5
    everybody = np.ones_like(one, dtype=bool)
    first, second = (mean_over_seeds(one + k * 0.1, everybody) for k in (1, 0))
    difference = (first - second).interval()
    assert difference.value == pytest.approx(0.1) and difference.high - difference.low < 1e-6


def test_one_seed_says_nothing_of_other_trainings_and_an_auc_stays_within_its_bounds() -> None:
    member, scores = np.arange(40) < 20, np.arange(40)[::-1].astype(float)
    found = auc_over_seeds([scores], member[None], np.ones((1, 40), dtype=bool)).interval()
    assert found.value == found.high == 1.0 and 0.8 < found.low < 1
