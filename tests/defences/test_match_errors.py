"""match-errors moves answers to people trained on by the least that gives them the errors of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.answers import OwnPeople
from memberscan.defences.match_errors import matched
from memberscan.errors import BadInputError

from .lab import answers, go

numbers = st.lists(st.floats(-50, 50), min_size=1, max_size=30)


def asked(
    values: np.ndarray, labels: np.ndarray, members: np.ndarray, others: np.ndarray, text: str
) -> np.ndarray:
    own = OwnPeople(labels, members, others)
    return defence_from(text).answered(replace(answers(values), own=lambda: own))


@given(numbers, numbers)
def test_as_many_residuals_become_those_of_others_in_their_order(
    members: list[float], others: list[float]
) -> None:
    size = min(len(members), len(others))
    own, their = np.array(sorted(set(members[:size]))), np.array(others[:size])
    their = np.resize(their, len(own))
    np.testing.assert_allclose(matched(own, own, their), np.sort(their), atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_no_other_way_to_give_these_errors_moves_answers_by_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, others = rng.normal(size=8), rng.normal(0, 3, 8)
    least = np.abs(matched(own, own, others) - own).mean()
    assert all(np.abs(rng.permutation(others) - own).mean() >= least - 1e-9 for _ in range(50))


def test_errors_of_people_trained_on_tell_nothing_and_those_of_others_stay() -> None:
    rng = np.random.default_rng(0)
    labels, trained = rng.uniform(40, 80, 2000), np.arange(2000) < 1000
    values = labels + np.where(trained, rng.normal(0, 1, 2000), rng.normal(0, 4, 2000))
    held_out = rng.normal(0, 4, 500)
    found = asked(
        values, np.where(trained, labels, np.nan), (labels - values)[trained], held_out, "match-errors"
    )
    np.testing.assert_array_equal(found[~trained], values[~trained])
    errors = np.abs(labels - found)
    auc = stats.mannwhitneyu(errors[~trained], errors[trained]).statistic / 1000**2
    before = np.abs(labels - values)
    plain = stats.mannwhitneyu(before[~trained], before[trained]).statistic / 1000**2
    assert plain > 0.8 and abs(auc - 0.5) < 0.05
    assert stats.ks_2samp(labels[trained] - found[trained], held_out).pvalue > 0.01
    little = asked(
        values, np.where(trained, labels, np.nan), (labels - values)[trained], held_out, "match-errors:most=1"
    )
    assert np.abs(little - values).max() == pytest.approx(1)


def test_it_says_what_is_missing(table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="does not say whom its model was trained on"):
        defence_from("match-errors").answered(answers([1.0]))
    with pytest.raises(BadInputError, match="add --validation"):
        go(table, tmp_path / "run", "match-errors")
    with pytest.raises(BadInputError, match="most"):
        defence_from("match-errors:most=0")
    assert defence_from("prune+match-errors:most=2").needs_held_out()
    assert "by 2 at most" in defence_from("match-errors:most=2").changes_answers()
