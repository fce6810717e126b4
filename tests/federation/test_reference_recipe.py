"""References of a federation: simulated as it was, on other people; only predictions are kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from memberscan.auditing import making_references
from memberscan.cohort import Cohort
from memberscan.errors import ReferencesError
from memberscan.federation import reference_recipe
from memberscan.federation.environments import divide_members
from memberscan.federation.reference_recipe import FederationRecipe
from memberscan.federation.simulated_run import federate
from memberscan.runs import Role, Run
from memberscan.targets import open_target
from memberscan.threat import ThreatModel
from memberscan.training.recipes import answers_of

from .consortium import settings

SEED = 3
"""Of the training in the room's settings."""


@pytest.fixture(scope="module")
def run(table: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("federated") / "run"
    return federate(
        table, path, settings=settings(), environment="skewed-noniid", learners=3, held_out=0.3, seed=0
    )


def test_on_the_same_people_a_reference_is_the_run_s_model_again(
    run: Run, table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_recipe, "divide_members", lambda *_: dict(run.roles.learner))
    recipe, members = FederationRecipe.of(run), run.roles.subjects(Role.MEMBER)
    again = recipe.train(table, members, SEED, tmp_path / "one.safetensors", tmp_path / "weights")
    np.testing.assert_array_equal(again, answers_of(run.load(), table, "cpu"))
    # Of all models of all rounds, only the last one is kept, and only if asked.
    assert {path.name for path in tmp_path.iterdir()} == {"weights"}


def test_the_seed_decides_who_is_with_whom_and_the_training(run: Run, table: Cohort, tmp_path: Path) -> None:
    recipe, members = FederationRecipe.of(run), run.roles.subjects(Role.MEMBER)
    one, same, other = (recipe.train(table, members, seed, tmp_path / "r", None) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert np.abs(other - one).max() > 0


def test_an_interrupted_reference_goes_on_at_its_last_round(
    run: Run, table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, members = FederationRecipe.of(run), run.roles.subjects(Role.MEMBER)
    whole = recipe.train(table, members, 7, tmp_path / "whole", None)
    shorter = replace(recipe, settings=replace(recipe.settings, rounds=2))
    with monkeypatch.context() as patched:
        patched.setattr(reference_recipe, "answers_of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shorter.train(table, members, 7, tmp_path / "killed", None)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed").rglob("*.safetensors")}
    assert before
    # The directory is left, to see what was written again.
    monkeypatch.setattr(reference_recipe, "shutil", SimpleNamespace(rmtree=lambda _: None))
    np.testing.assert_array_equal(recipe.train(table, members, 7, tmp_path / "killed", None), whole)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_learners_hold_as_many_people_as_in_the_run(run: Run, table: Cohort) -> None:
    members = run.roles.subjects(Role.MEMBER)
    others = [s for s in table.subjects if s not in members]
    chosen = sorted([*members[len(others) :], *others])
    held = divide_members(table, chosen, "skewed-noniid", 3, np.random.default_rng(0))
    assert sorted(held) == chosen
    assert Counter(held.values()) == Counter(run.roles.learner.values())


def test_the_fingerprint_names_what_decides_the_result(run: Run) -> None:
    recipe = FederationRecipe.of(run)
    longer = replace(recipe.settings, rounds=9)
    other_seed = replace(recipe.settings, training=replace(recipe.settings.training, seed=9))
    changed = (
        replace(recipe, learners=4),
        replace(recipe, environment="uniform-iid"),
        replace(recipe, settings=longer),
    )
    assert len({recipe.fingerprint, *(each.fingerprint for each in changed)}) == 4
    assert replace(recipe, settings=other_seed).fingerprint == recipe.fingerprint
    assert "3 learners, skewed-noniid, rounds: 3" in recipe.title


def test_a_federated_run_gets_the_recipe_of_a_federation(run: Run) -> None:
    assert making_references._recipe(open_target(run.path, ThreatModel()), None) == FederationRecipe.of(run)


@pytest.mark.parametrize("environment", ["by-site", None])
def test_refuses_federations_that_cannot_be_repeated_on_other_people(
    run: Run, environment: str | None
) -> None:
    assert run.federation is not None
    with pytest.raises(ReferencesError, match="cannot be repeated on other people"):
        FederationRecipe.of(replace(run, federation={**run.federation, "environment": environment}))
    with pytest.raises(ReferencesError, match="--recipe"):
        FederationRecipe.of(replace(run, training={}))
