"""randomised-response replaces classes with the probabilities of its formula, once for a training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.randomised_response import RandomisedResponse
from memberscan.errors import BadInputError, ModelError
from memberscan.target_variable import TargetVariable

from ..conftest import Interrupted
from .lab import assert_resumes, federated, go

_DRAWS = 60_000


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_labels_have_the_probabilities_of_the_formula(count: int, epsilon: float) -> None:
    target = TargetVariable("group", classes=tuple("abcde"[:count]))
    defence, rng = RandomisedResponse(epsilon=epsilon), np.random.default_rng(0)
    kept = math.exp(epsilon) / (math.exp(epsilon) + count - 1)
    seen = np.zeros((count, count))
    for own in range(count):
        labels = defence.labels(np.full(_DRAWS, float(own)), target, rng)
        seen[own] = np.bincount(labels.astype(int), minlength=count) / _DRAWS
    expected = np.full((count, count), (1 - kept) / (count - 1))
    np.fill_diagonal(expected, kept)
    np.testing.assert_allclose(seen, expected, atol=5 * math.sqrt(0.25 / _DRAWS))
    assert np.log(expected.max(axis=0) / expected.min(axis=0)) == pytest.approx(epsilon)


def test_the_page_states_the_share_of_replaced_labels() -> None:
    shares = [RandomisedResponse(epsilon=epsilon).replaced(2) for epsilon in (1, 2, 4)]
    assert [round(100 * share) for share in shares] == [27, 12, 2]


def test_the_guarantee_is_of_labels_and_not_of_membership(table: Cohort, tmp_path: Path) -> None:
    guarantee = go(table.with_target("sex"), tmp_path / "run", "randomised-response:epsilon=1.5").training[
        "guarantee"
    ]
    assert "epsilon = 1.5 of the label" in guarantee["statement"]
    assert guarantee["epsilon"] is None and guarantee["delta"] is None


def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
) -> None:
    cohort = table.with_target("sex")
    assert_resumes(cohort, tmp_path, interrupted_in_epoch, "randomised-response:epsilon=1")


def test_learners_can_apply_it(table: Cohort, tmp_path: Path) -> None:
    run = federated(table.with_target("sex"), tmp_path / "run", "randomised-response:epsilon=1")
    assert set(run.training["guarantee"]) == set(run.transcript.learners)


def test_numbers_are_refused(table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a number in years; take label-noise"):
        go(table, tmp_path / "run", "randomised-response:epsilon=1")


@pytest.mark.parametrize("text", ["", ":epsilon=0", ":epsilon=-1", ":epsilon=51", ":epsilon=nan"])
def test_an_epsilon_above_0_is_needed(text: str) -> None:
    with pytest.raises(BadInputError, match="epsilon"):
        defence_from(f"randomised-response{text}")
