from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from memberscan.errors import BadInputError, NonFiniteError, TooFewSubjectsError
from memberscan.evidence.epsilon_bounds import epsilon_clopper_pearson, epsilon_gaussian, largest_epsilon
from memberscan.evidence.one_run import epsilon_one_run, epsilon_one_run_fdp
from memberscan.evidence.privacy_region import region_test

BOUNDS = [
    partial(epsilon_clopper_pearson, delta=1e-5),
    partial(epsilon_gaussian, delta=1e-5),
    partial(epsilon_one_run, delta=1e-5),
    partial(epsilon_one_run_fdp, delta=1e-5),
    partial(region_test, epsilon=1.0, delta=1e-5),
]
SCORES = [0.1, 0.4, 0.3]


@pytest.mark.parametrize("bound", BOUNDS)
def test_bad_scores_are_refused_by_their_name(bound):
    with pytest.raises(TooFewSubjectsError, match="inside is empty"):
        bound([], SCORES)
    with pytest.raises(TooFewSubjectsError, match="outside is empty"):
        bound(SCORES, [])
    with pytest.raises(NonFiniteError, match="outside has NaN"):
        bound(SCORES, [0.0, np.nan])
    with pytest.raises(BadInputError, match="inside has 2 dimensions"):
        bound([SCORES], SCORES)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("level", [0.5, 1.0, np.nan, 95])
def test_bad_levels_are_refused(bound, level):
    with pytest.raises(BadInputError, match="level"):
        bound(SCORES, SCORES, level=level)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("delta", [-1e-9, 1.0, np.nan])
def test_bad_deltas_are_refused(bound, delta):
    with pytest.raises(BadInputError, match="delta"):
        bound(SCORES, SCORES, delta=delta)


def test_a_gaussian_mechanism_needs_a_delta():
    for bound in (epsilon_gaussian, epsilon_one_run_fdp):
        with pytest.raises(BadInputError, match="delta is 0"):
            bound(SCORES, SCORES, delta=0.0)
    assert epsilon_one_run_fdp(SCORES, SCORES, delta=0.0, gaussian=False).value == 0


@pytest.mark.parametrize("thresholds", [[], [np.inf], [[1.0]]])
def test_bad_thresholds_are_refused(thresholds):
    for bound in (*BOUNDS[:2], BOUNDS[4]):
        with pytest.raises(BadInputError, match="thresholds"):
            bound(SCORES, SCORES, thresholds=thresholds)


@pytest.mark.parametrize("guesses", [[], [0], [7], [2.5]])
def test_bad_numbers_of_guesses_are_refused(guesses):
    for bound in BOUNDS[2:4]:
        with pytest.raises(BadInputError, match="guesses must be whole numbers from 1 to 6"):
            bound(SCORES, SCORES, guesses=guesses)


def test_other_options_are_refused():
    with pytest.raises(BadInputError, match="sides"):
        epsilon_one_run(SCORES, SCORES, sides="out")
    for epsilon in (-1.0, np.nan):
        with pytest.raises(BadInputError, match="epsilon"):
            region_test(SCORES, SCORES, epsilon=epsilon, delta=0.0)
    with pytest.raises(BadInputError, match="level"):
        largest_epsilon(10, 10, level=2)
