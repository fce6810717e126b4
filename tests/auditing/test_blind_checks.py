"""The checks without the model of a federation's victims: how often they trip, alone and together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from memberscan.auditing import weighing
from memberscan.auditing.weighing import check_covariates
from memberscan.evidence.blind import blind_check
from memberscan.evidence.multiple import holm
from memberscan.targets.party import EVERYONE
from memberscan.targets.target import Group

VICTIMS, EACH, HELD_OUT = 8, 20, 60


def federation(seed: int, shift: float) -> tuple[Any, pd.DataFrame]:
    """Return a stand-in for a party among eight learners, and ages that are higher in all of them alike."""
    home = np.repeat([*range(VICTIMS), -1], [*[EACH] * VICTIMS, HELD_OUT])
    age = np.random.default_rng(seed).normal(size=len(home)) + shift * (home >= 0)
    groups = [
        Group(f"site {v}", (home == v) | (home == -1), home == v, False, ("blind", f"site {v}"))
        for v in range(VICTIMS)
    ]
    everybody = np.ones(len(home), dtype=bool)
    groups.append(Group(EVERYONE, everybody, home >= 0, False, ("blind", EVERYONE), pooled=True))
    return SimpleNamespace(groups=groups, seed=seed), pd.DataFrame({"age": age})


def test_victims_are_corrected_and_all_people_together_are_not() -> None:
    target, covariates = federation(0, 0.0)
    checks = check_covariates(target, covariates)
    rngs = {g.name: weighing.seeds.generator(0, *g.seed) for g in target.groups}
    alone = {g.name: blind_check(covariates[g.asked], g.inside[g.asked], rngs[g.name]) for g in target.groups}
    assert checks[EVERYONE].p_value == alone.pop(EVERYONE).p_value
    expected = holm([check.p_value for check in alone.values()])
    np.testing.assert_array_equal([checks[name].p_value for name in alone], expected)


def test_a_difference_shared_by_all_victims_trips_the_check_of_all_together() -> None:
    tripped = [check_covariates(*federation(seed, 0.7))[EVERYONE].gates for seed in range(12)]
    assert np.mean(tripped) > 0.7


def test_covariates_that_tell_nothing_seldom_trip_any_check() -> None:
    tripped = sum(
        any(check.gates for check in check_covariates(*federation(seed, 0.0)).values()) for seed in range(60)
    )
    # One check in twenty trips of the single ones, and one in twenty of all together.
    assert stats.binomtest(tripped, 60, 0.1, "greater").pvalue > 0.01


def test_a_correction_for_many_groups_hides_no_difference() -> None:
    rng = np.random.default_rng(0)
    member = np.arange(200) < 100
    check = blind_check(pd.DataFrame({"age": rng.normal(size=200) + 3 * member}), member, rng)
    assert check.p_value is not None and check.p_value < 1e-6 < 1 / (check.permutations + 1)
