"""distillation: the released model is a student, trained on what a teacher answers on people held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.cohort.target_column import with_labels
from memberscan.errors import BadInputError, ModelError
from memberscan.frontier.points import Base, read_points
from memberscan.models import ModelSpec
from memberscan.models.inputs import as_inputs
from memberscan.runs import Role, Run
from memberscan.training import TrainingConfig, loop, teaching, train
from memberscan.training.central import CHECKPOINT, new_network, scans_of
from memberscan.training.checkpoint import Progress, remove_checkpoint, teachers_folder
from memberscan.training.loop import fit
from memberscan.training.recipes import RunRecipe, answers_of
from memberscan.training.teaching import fit_or_teach

from ..conftest import Interrupted
from .lab import federated

CONFIG = TrainingConfig(epochs=3, device="cpu", seed=7)


def go(cohort: Cohort, path: Path, defence: str | None = "distillation", **changes: Any) -> Run:
    config = replace(CONFIG, defence=defence, **changes)
    return train(
        cohort, path, model="mlp", options={"width": 5}, config=config, seed=4, members=0.6, validation=0.4
    )


def slow_student(run: Run, cohort: Cohort, folder: Path) -> np.ndarray:
    """Naive twin: train the teacher, write its answers into the cohort's column, and train the student."""
    members, students = (scans_of(cohort, run.roles.subjects(r)) for r in (Role.MEMBER, Role.VALIDATION))
    seed = seeds.integer(CONFIG.seed, "teacher", 0)
    teacher = new_network(run.spec, seed)
    fit(teacher, cohort, members, [], replace(CONFIG, seed=seed), folder / "teacher")
    scans = cohort.scans.copy()
    for scan in students:
        scans.loc[scan, "age"] = teacher.eval()(as_inputs(cohort, [scan])).item()
    student = new_network(run.spec, CONFIG.seed)
    fit(student, replace(cohort, scans=scans), students, [], CONFIG, folder / "student")
    return answers_of(student, cohort, "cpu")


def test_a_student_learns_what_a_teacher_of_the_members_answers(table: Cohort, tmp_path: Path) -> None:
    run = go(table, tmp_path / "run")
    found = answers_of(run.load(), table, "cpu")
    np.testing.assert_allclose(found, slow_student(run, table, tmp_path), rtol=1e-5)
    assert run.training["guarantee"] is None and run.training["defence"] == "distillation"
    assert not list((tmp_path / "run").glob("*checkpoint*"))


def test_the_labels_of_the_students_people_are_not_used(table: Cohort, tmp_path: Path) -> None:
    run = go(table, tmp_path / "run")
    others = scans_of(table, run.roles.subjects(Role.VALIDATION))
    changed = with_labels(table, others, np.full(len(others), 99.0))
    again = go(changed, tmp_path / "changed")
    assert again.weights_fingerprint == run.weights_fingerprint


def test_the_student_is_trained_on_no_scan_of_a_member(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[list[str]] = []

    def recording(model: object, cohort: Cohort, scans: Sequence[str], *given: Any, **named: Any) -> Progress:
        trained.append(list(scans))
        return fit(model, cohort, scans, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(teaching, "fit", recording)
    run = go(table, tmp_path / "run")
    assert trained == [scans_of(table, run.roles.subjects(r)) for r in (Role.MEMBER, Role.VALIDATION)]


@pytest.mark.parametrize(
    ("defence", "when"),
    [
        ("distillation", 1),
        ("distillation", 4),
        ("teachers:noise=1,count=3", 4),
        ("teachers:noise=1,count=3", 10),
    ],
)
def test_an_interrupted_training_ends_in_the_same_weights(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defence: str, when: int
) -> None:
    """Each teacher has three epochs, and then the student: with three teachers, epochs 10 to 12."""
    whole, part = go(table, tmp_path / "whole", defence), tmp_path / "part"
    real, epochs = loop.train_epoch, 0

    def counted(*given: Any, **named: Any) -> float:
        nonlocal epochs
        epochs += 1
        if epochs > when:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "train_epoch", counted)
        go(table, part, defence)
    assert teachers_folder(part / CHECKPOINT).exists()
    resumed = go(table, part, defence)
    assert resumed.weights_fingerprint == whole.weights_fingerprint
    assert not teachers_folder(part / CHECKPOINT).exists()


def test_a_finished_teacher_is_not_trained_again(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelSpec.to_train("mlp", table.shape, {"width": 5})
    scans, state = table.scans.index.tolist(), tmp_path / "state.safetensors"
    config = replace(CONFIG, defence="distillation")
    fresh = partial(new_network, spec)

    def trained() -> np.ndarray:
        network = fresh(1)
        fit_or_teach(network, table, scans[:20], scans[20:], config, state, fresh, 5)
        return answers_of(network, table, "cpu")

    first = trained()
    answers = teachers_folder(state) / "0-answers.safetensors"
    assert answers.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(teaching, "_predictions", None)
    np.testing.assert_array_equal(trained(), first)
    answers.write_bytes(save({"answers": torch.zeros(3)}))
    with pytest.raises(ModelError, match=r"0-answers.*delete it"):
        trained()
    remove_checkpoint(state)
    assert not teachers_folder(state).exists()


def test_references_repeat_the_recipe(table: Cohort, tmp_path: Path) -> None:
    run = go(table, tmp_path / "run")
    recipe = RunRecipe.of(run)
    again = recipe.train(table, run.roles.subjects(Role.MEMBER), 7, tmp_path / "c.safetensors", None)
    np.testing.assert_allclose(again, answers_of(run.load(), table, "cpu"), rtol=1e-5)


def test_a_student_of_classes_learns_the_likeliest_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    people = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    people = people.assign(id=range(60), age=50 + rng.normal(size=60), well=(people["a"] > 0).astype(int))
    people.to_csv(tmp_path / "t.csv", index=False)
    cohort = Cohort.from_table(
        tmp_path / "t.csv", tmp_path / "c", subject="id", age="age", covariates=["well"]
    ).with_target("well")
    network = go(cohort, tmp_path / "run", epochs=40, learning_rate=0.03).load()
    inside = as_inputs(cohort, cohort.scans.index.tolist())
    right = (network(inside).numpy(force=True) == cohort.labels.to_numpy()).mean()
    assert right > 0.8


def test_labels_are_replaced_for_some_scans_only(table: Cohort) -> None:
    scans = table.scans.index[[5, 2]].tolist()
    changed = with_labels(table, scans, np.array([1.5, 2.5]))
    assert changed.labels[scans].tolist() == [1.5, 2.5]
    pd.testing.assert_series_equal(changed.labels.drop(scans), table.labels.drop(scans))


def test_people_held_out_are_needed_and_do_not_choose_the_epoch(table: Cohort, tmp_path: Path) -> None:
    config = replace(CONFIG, defence="distillation")
    with pytest.raises(BadInputError, match="add --validation"):
        train(table, tmp_path / "run", model="mlp", config=config, seed=0)
    with pytest.raises(BadInputError, match="cannot choose the epoch"):
        go(table, tmp_path / "run", keep="best")
    with pytest.raises(BadInputError, match="cannot choose the epoch"):
        go(table, tmp_path / "run", patience=2)
    assert not (tmp_path / "run").exists()


def test_the_loop_alone_refuses_it(table: Cohort, tmp_path: Path) -> None:
    network = new_network(ModelSpec.to_train("mlp", table.shape, {}), 0)
    with pytest.raises(BadInputError, match=r"use memberscan\.train"):
        fit(
            network, table, table.scans.index, [], replace(CONFIG, defence="distillation"), tmp_path / "state"
        )


def test_federations_refuse_it(table: Cohort, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'distillation' releases another model"):
        federated(table, tmp_path / "run", "distillation")


@pytest.mark.parametrize("other", ["mixup", "label-noise:spread=2", "dp-sgd:noise=1", "adaptive-dp:noise=1"])
def test_defences_of_steps_are_refused_beside_it(other: str) -> None:
    for text in (f"distillation+{other}", f"{other}+distillation"):
        with pytest.raises(BadInputError, match="would have no effect"):
            TrainingConfig(defence=text)
    with pytest.raises(BadInputError, match="both decide the teaching"):
        TrainingConfig(defence="distillation+teachers:noise=1")


def test_the_finished_student_can_be_changed(table: Cohort, tmp_path: Path) -> None:
    network = go(table, tmp_path / "run", "distillation+prune:sparsity=0.9").load()
    weights = np.concatenate([p.numpy(force=True).ravel() for p in network.parameters() if p.dim() > 1])
    assert (weights == 0).mean() > 0.85


@pytest.mark.parametrize("validation", [0.0, 0.3])
def test_a_frontier_of_all_draws_it_only_with_people_held_out(validation: float) -> None:
    base = Base("mlp", TrainingConfig(), validation)
    drawn = {point.family for point in read_points(["all"], base)}
    assert ("distillation" in drawn) == ("teachers" in drawn) == bool(validation)
    if not validation:
        with pytest.raises(BadInputError, match=r"point 'distillation': .*--validation"):
            read_points(["distillation"], base)


def test_interrupted_in_its_teacher(table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted) -> None:
    with interrupted_in_epoch(2):
        go(table, tmp_path / "run")
    folder = teachers_folder(tmp_path / "run" / CHECKPOINT)
    assert [path.name for path in folder.iterdir()] == ["0.safetensors"]
    assert folder.stat().st_mode & 0o077 == 0
