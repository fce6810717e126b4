"""How references are trained: as the run was, or by any function of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ReferencesError
from memberscan.models.copies import Copies
from memberscan.models.inputs import as_inputs
from memberscan.models.network_inputs import NetworkInputs
from memberscan.runs import Role, Run
from memberscan.signals.passes.copies import predictions_of_copies
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import ThreatModel
from memberscan.training import TrainingConfig, train
from memberscan.training.recipes import RunRecipe, UserRecipe, answers_of

from . import user_recipes

HERE = user_recipes.__name__


def subjects(cohort: Cohort, count: int = 12) -> list[str]:
    return cohort.subjects[:count]


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_runs_recipe_trains_as_the_run_was(volumes: Cohort, tmp_path: Path, keep: str) -> None:
    config = TrainingConfig(epochs=3, device="cpu", keep=keep, seed=7)  # type: ignore[arg-type]
    run = train(
        volumes, tmp_path / "run", model="cnn3d", options={"width": 4}, config=config, seed=0, validation=0.2
    )
    recipe = RunRecipe.of(run)
    members = run.roles.subjects(Role.MEMBER)
    # Trained on the run's own members with its own seed, a reference is the run's model again.
    again = recipe.train(volumes, members, 7, tmp_path / "checkpoint", None)
    np.testing.assert_array_equal(again[:, 0], answers_of(run.load(), volumes, "cpu")[:, 0])
    # So are its predictions of copies, and those of scans do not depend on them.
    target = TrainedModel.open(run.path, ThreatModel())
    copied = predictions_of_copies(target, tmp_path / "copies")
    places = volumes.scans.index.get_indexer(target.scans.index)
    np.testing.assert_allclose(again[places, 1:], copied, rtol=1e-5)
    other = recipe.train(volumes, members, 8, tmp_path / "checkpoint2", None)
    assert np.abs(other - again).max() > 0


def test_the_weights_are_kept_if_asked(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    recipe = RunRecipe.of(run)
    recipe.train(volumes, subjects(volumes), 1, tmp_path / "checkpoint", tmp_path / "weights")
    assert (tmp_path / "weights" / "weights.safetensors").is_file()


def test_the_fingerprint_names_what_decides_the_result(run: Run) -> None:
    recipe = RunRecipe.of(run)
    changed = (
        replace(recipe, config=replace(recipe.config, epochs=9)),
        replace(recipe, spec=replace(recipe.spec, options={"width": 5})),
        replace(recipe, validation=("someone",)),
    )
    assert len({recipe.fingerprint, *(each.fingerprint for each in changed)}) == 4
    # The seed is each reference's own.
    assert replace(recipe, config=replace(recipe.config, seed=3)).fingerprint == recipe.fingerprint


def test_refuses_runs_whose_recipe_is_not_known(run: Run) -> None:
    with pytest.raises(ReferencesError, match="was imported"):
        RunRecipe.of(replace(run, training={}))
    with pytest.raises(ReferencesError, match="is a federation"):
        RunRecipe.of(replace(run, federation={"rounds": 3}))


@pytest.mark.parametrize(
    ("name", "columns"), [("ridge", (21,)), ("network", (21,)), ("predictions", ()), ("by_scan", ())]
)
def test_a_users_function_may_return_a_model_or_predictions(
    table: Cohort, tmp_path: Path, name: str, columns: tuple[int, ...]
) -> None:
    recipe = UserRecipe(f"{HERE}:{name}")
    found = recipe.train(table, subjects(table), 5, tmp_path / "c", None)
    # A model is asked about changed copies of each scan, too.
    assert found.shape == (len(table), *columns) and np.isfinite(found).all()
    np.testing.assert_array_equal(found, recipe.train(table, subjects(table), 5, tmp_path / "c", None))
    assert name in recipe.title


def test_a_returned_network_gets_what_the_target_gets(table: Cohort, tmp_path: Path) -> None:
    name = table.covariates[0]
    levels = sorted(table.scans[name].unique())
    taken = NetworkInputs(("image", name), {name: {level: n for n, level in enumerate(levels)}})
    recipe = UserRecipe(f"{HERE}:with_dose", inputs=taken)
    found = recipe.train(table, subjects(table), 5, tmp_path / "c", None)
    numbers = table.scans[name].map(levels.index)
    means = table.read(list(table.scans.index)).mean(axis=1)
    np.testing.assert_allclose(found[:, 0], means + numbers, atol=1e-5)
    assert recipe.fingerprint != UserRecipe(f"{HERE}:with_dose").fingerprint


def test_a_models_copies_are_those_that_the_target_is_asked_about(table: Cohort, tmp_path: Path) -> None:
    found = UserRecipe(f"{HERE}:ridge").train(table, subjects(table), 5, tmp_path / "c", None)
    inputs = as_inputs(table, table.scans.index.tolist())
    # The prediction is linear: copies that were moved there and back have the scan's as their mean.
    assert np.abs(found[:, 1:] - found[:, :1]).min() > 0
    np.testing.assert_allclose(found[:, 1:].mean(axis=1), found[:, 0], rtol=1e-5)
    model = user_recipes.ridge(table, subjects(table), 5)
    for place, copy in enumerate(Copies.of(table)(inputs), start=1):
        np.testing.assert_allclose(found[:, place], model.predict(copy.numpy()), rtol=1e-6)


def test_predictions_by_scan_are_put_in_order(table: Cohort, tmp_path: Path) -> None:
    arrays = [
        UserRecipe(f"{HERE}:{name}").train(table, subjects(table), 5, tmp_path / "c", None)
        for name in ("predictions", "by_scan")
    ]
    np.testing.assert_array_equal(*arrays)


def test_the_seed_decides_what_a_user_draws(table: Cohort, tmp_path: Path) -> None:
    recipe = UserRecipe(f"{HERE}:predictions")
    one, two = (recipe.train(table, subjects(table), seed, tmp_path / "c", None) for seed in (5, 6))
    assert np.abs(one - two).max() > 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fails", user_recipes.SAID),
        ("too_few", "39 predictions for 40 scans"),
        ("nothing", "returns a NoneType"),
        ("lacking", "gives no prediction of scan"),
    ],
)
def test_says_what_is_wrong_with_a_recipe(table: Cohort, tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ReferencesError, match=says):
        UserRecipe(f"{HERE}:{name}").train(table, subjects(table), 5, tmp_path / "c", None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ridge", "give package.module:function"),
        ("no.such.module:train", "cannot import the recipe"),
        (f"{HERE}:no_such", "cannot import the recipe"),
        (f"{HERE}:SAID", "is not a function"),
    ],
)
def test_refuses_names_that_are_no_recipe(name: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        UserRecipe(name)


def test_the_weights_of_a_users_model_are_not_kept(table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="not kept"):
        UserRecipe(f"{HERE}:ridge").train(table, subjects(table), 5, tmp_path / "c", tmp_path / "w")
