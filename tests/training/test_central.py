from __future__ import annotations

import errno
import importlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import (
    BadInputError,
    DataLeakageError,
    DiskFullError,
    ModelError,
    NotARegressorError,
    OutputConflictError,
    RolesError,
    StaleError,
    TooFewSubjectsError,
    UnsafeWeightsError,
)
from memberscan.models.inputs import as_inputs
from memberscan.received import load_json
from memberscan.runs import Role, Roles, Run
from memberscan.training import TrainingConfig, import_run, loop, train
from memberscan.training.central import CHECKPOINT

CONFIG = TrainingConfig(epochs=5, device="cpu")


def contents(path: Path) -> dict[str, bytes]:
    """Return all files but those that hold times or a random salt, and without the digest made with it."""
    files = (p for p in path.iterdir() if p.name not in ("timings.jsonl", "roles.salt"))
    return {p.name: re.sub(rb'"roles": "[0-9a-f]{32}"', b"", p.read_bytes()) for p in files}


def history(run: Run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]


def go(cohort: Cohort, path: Path, **changes: Any) -> Run:
    options = {"model": "cnn3d", "options": {"width": 4}, "config": CONFIG, "seed": 0}
    return train(cohort, path, **(options | changes))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint after every epoch."""
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)


@pytest.mark.parametrize("model", ["cnn3d", "slice-mean"])
def test_a_model_can_learn_its_members_by_heart(volumes: Cohort, tmp_path: Path, model: str) -> None:
    config = TrainingConfig(epochs=60, device="cpu", learning_rate=1e-2)
    run = go(volumes, tmp_path / "run", model=model, options={"width": 16}, config=config)
    losses = [row["train"] for row in history(run)]
    assert losses[-1] < 0.1 * losses[0]
    assert losses[0] == pytest.approx(volumes.scans["age"].var(), rel=0.5), "losses are in years squared"


def test_the_loss_falls_on_phantoms(phantoms: Cohort, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=40, device="cpu", learning_rate=3e-3)
    losses = [
        row["train"] for row in history(go(phantoms, tmp_path / "run", options={"width": 16}, config=config))
    ]
    assert losses[-1] < 0.85 * losses[0]


def test_a_table_is_learnt_from(table: Cohort, tmp_path: Path) -> None:
    run = train(table, tmp_path / "run", model="mlp", config=TrainingConfig(epochs=120, device="cpu"), seed=0)
    members = table.scans[table.scans["subject_id"].isin(run.roles.subjects(Role.MEMBER))]
    with torch.no_grad():
        predictions = run.load()(as_inputs(table, members.index.tolist())).numpy()
    assert (
        np.abs(predictions - members["age"]).mean()
        < 0.3 * np.abs(members["age"] - members["age"].mean()).mean()
    )


def test_a_run_says_everything_about_itself(run: Run, volumes: Cohort) -> None:
    content = load_json(run.path / "run.json")
    assert content["cohort"]["fingerprint"] == volumes.fingerprint
    assert content["training"]["epochs"] == content["training"]["kept_epoch"] == 3
    assert content["training"]["learning_rate"] == 3e-4
    assert content["training"]["threads"] == torch.get_num_threads()
    assert content["training"]["torch"] == torch.__version__
    assert [row["epoch"] for row in history(run)] == [1, 2, 3]
    ages = volumes.scans.loc[volumes.scans["subject_id"].isin(run.roles.subjects(Role.MEMBER)), "age"]
    assert load_file(run.path / "weights.safetensors")["age_mean"].item() == pytest.approx(
        ages.mean(), rel=1e-6
    )
    assert sorted(p.name for p in run.path.iterdir()) == [
        "history.jsonl", "request.json", "roles.salt", "roles.tsv", "run.json", "timings.jsonl",
        "weights.safetensors",
    ]  # fmt: skip


def test_the_same_training_gives_the_same_bytes_and_another_seed_does_not(
    volumes: Cohort, tmp_path: Path
) -> None:
    one, two = go(volumes, tmp_path / "one"), go(volumes, tmp_path / "two")
    assert contents(one.path) == contents(two.path)
    other = go(volumes, tmp_path / "other", config=TrainingConfig(epochs=5, device="cpu", seed=1), seed=1)
    assert other.weights_fingerprint != one.weights_fingerprint
    assert other.roles != one.roles


def test_members_are_drawn_in_secret_unless_a_seed_is_given(volumes: Cohort, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, device="cpu")
    one, two = (go(volumes, tmp_path / name, config=config, seed=None) for name in ("one", "two"))
    assert one.roles != two.roles
    seed = load_json(one.path / "request.json")["membership_seed"]
    assert seed > 2**40 and str(seed) not in (one.path / "run.json").read_text()
    assert (one.path / "request.json").stat().st_mode & 0o077 == 0
    # The same command again finds its seed; nobody else has to know it.
    assert go(volumes, tmp_path / "one", config=config, seed=None) == Run.open(one.path)
    given = go(volumes, tmp_path / "given", config=config, seed=7)
    rng = seeds.generator(7, "roles")
    assert given.roles == Roles.draw(volumes.subjects, members=0.5, validation=0.0, rng=rng)


def test_a_killed_training_goes_on_with_its_secret_draw(
    volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("memberscan.training.central"), "fit_or_teach", die)
        with pytest.raises(KeyboardInterrupt):
            go(volumes, tmp_path / "run", seed=None)
    drawn = Roles.read(tmp_path / "run" / "roles.tsv")
    assert go(volumes, tmp_path / "run", seed=None).roles == drawn


def test_a_negative_seed_is_refused(volumes: Cohort, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="seed is -1"):
        go(volumes, tmp_path / "run", seed=-1)
    assert not (tmp_path / "run").exists()


def test_the_callers_random_numbers_neither_change_nor_matter(volumes: Cohort, tmp_path: Path) -> None:
    for seed in (5, 6):
        torch.manual_seed(seed)
        expected = torch.rand(3)
        torch.manual_seed(seed)
        go(volumes, tmp_path / str(seed), options={"width": 2, "dropout": 0.5})
        torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    assert contents(tmp_path / "5") == contents(tmp_path / "6")


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("epochs_done", [0, 1, 4])
@pytest.mark.parametrize("keep", ["last", "best"])
def test_interrupted_training_ends_in_the_same_bytes(
    volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs_done: int, keep: str
) -> None:
    options: dict[str, Any] = {
        "members": 0.6,
        "validation": 0.2,
        "options": {"width": 3, "dropout": 0.3},
        "config": TrainingConfig(epochs=5, device="cpu", keep=keep),
    }
    whole = go(volumes, tmp_path / "whole", **options)
    real, started = loop.train_epoch, []

    def interrupted(*arguments: Any, **named: Any) -> float:
        started.append(arguments[-1])
        if len(started) == epochs_done + 1:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(loop, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(volumes, tmp_path / "part", **options)
    with pytest.raises(BadInputError, match="not finished"):
        Run.open(tmp_path / "part")
    go(volumes, tmp_path / "part", **options)
    assert contents(tmp_path / "part") == contents(whole.path)
    assert started == [*range(epochs_done + 1), *range(epochs_done, 5)]


@pytest.mark.usefixtures("often")
def test_the_same_command_on_a_finished_run_does_nothing_but_tidy(
    volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = go(volumes, tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in run.path.iterdir()}
    (run.path / CHECKPOINT).write_bytes(b"left by a kill")
    monkeypatch.setattr(loop, "train_epoch", None)
    assert go(volumes, tmp_path / "run") == run
    assert {p: p.stat().st_mtime_ns for p in run.path.iterdir()} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"config": TrainingConfig(epochs=6, device="cpu")},
        {"options": {"width": 5}},
        {"members": 0.6},
        {"model": "slice-mean"},
    ],
)
def test_another_configuration_is_refused_and_nothing_is_lost(
    run: Run, volumes: Cohort, tmp_path: Path, changes: dict[str, Any]
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(OutputConflictError, match="another configuration"):
        go(volumes, tmp_path / "run", **({"config": TrainingConfig(epochs=3, device="cpu")} | changes))
    assert contents(tmp_path / "run") == before


def test_a_run_directory_from_another_cohort_is_refused(
    volumes: Cohort, run: Run, tmp_path: Path, cohort_maker: Callable[..., Cohort]
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    subjects = volumes.scans["subject_id"].tolist()
    other = cohort_maker(tmp_path / "other", volumes.scans["age"].tolist(), subjects, seed=9)
    with pytest.raises(OutputConflictError, match="cohort"):
        go(other, tmp_path / "run", config=TrainingConfig(epochs=3, device="cpu"))
    with pytest.raises(StaleError, match="another cohort"):
        Run.open(tmp_path / "run").cohort(other.path)


def test_the_best_epoch_is_kept_and_patience_stops_after_it(
    volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([9.0, 4.0, 5.0, 6.0, 3.0])
    kept: list[dict[str, torch.Tensor]] = []

    def scripted(model: torch.nn.Module, *_: object) -> float:
        kept.append({k: v.clone() for k, v in model.state_dict().items()})
        return next(losses)

    monkeypatch.setattr(loop, "_mean_loss", scripted)
    config = TrainingConfig(epochs=9, device="cpu", keep="best", patience=2)
    run = go(volumes, tmp_path / "run", members=0.5, validation=0.2, config=config)
    assert [row["validation"] for row in history(run)] == [9, 4, 5, 6]
    assert run.training["kept_epoch"] == 2
    weights = load_file(run.path / "weights.safetensors")
    assert all(torch.equal(weights[k], v) for k, v in kept[1].items())
    assert not all(torch.equal(weights[k], v) for k, v in kept[3].items())


def test_the_validation_error_is_that_of_the_kept_model(volumes: Cohort, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=4, device="cpu", keep="best")
    run = go(volumes, tmp_path / "run", members=0.6, validation=0.3, config=config)
    held = volumes.scans[volumes.scans["subject_id"].isin(run.roles.subjects(Role.VALIDATION))]
    with torch.no_grad():
        residuals = held["age"].to_numpy() - run.load()(as_inputs(volumes, held.index.tolist())).numpy()
    expected = min(row["validation"] for row in history(run))
    assert (residuals**2).mean() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("model", ["cnn3d", "slice-mean"])
def test_bf16_learns_the_same_within_its_precision(volumes: Cohort, tmp_path: Path, model: str) -> None:
    runs = [
        go(volumes, tmp_path / p, model=model, config=TrainingConfig(epochs=3, device="cpu", precision=p))
        for p in ("fp32", "bf16")
    ]
    exact, rounded = ([row["train"] for row in history(run)] for run in runs)
    assert exact != rounded
    np.testing.assert_allclose(rounded, exact, rtol=0.1)
    weights = load_file(runs[1].path / "weights.safetensors")
    assert {v.dtype for v in weights.values()} == {torch.float32}


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("writes", [0, 1, 3, 5, 8, 9])
def test_a_full_disk_loses_nothing(
    volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    whole = go(volumes, tmp_path / "whole")
    real, left = os.fsync, writes

    def filling(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch, pytest.raises(DiskFullError, match="run the same command again"):
        patch.setattr(os, "fsync", filling)
        go(volumes, tmp_path / "part")
    go(volumes, tmp_path / "part")
    assert contents(tmp_path / "part") == contents(whole.path)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"config": TrainingConfig(keep="best")}, BadInputError, "--validation 0.1"),
        ({"config": TrainingConfig(patience=3)}, BadInputError, "--validation 0.1"),
        ({"config": TrainingConfig(keep="best"), "validation": 0.01}, BadInputError, "--validation 0.1"),
        ({"config": TrainingConfig(device="tpu")}, BadInputError, "choose auto, cpu or cuda"),
        ({"members": 0.1}, TooFewSubjectsError, "3 members and 23 non-members"),
        ({"members": 1}, BadInputError, "between 0 and 1"),
        ({"members": Roles({"nobody": Role.MEMBER})}, RolesError, "'nobody'"),
        ({"model": "mlp"}, ModelError, "table of features"),
        ({"model": "torch.nn:Identity", "options": {}}, NotARegressorError, "one number per scan"),
        ({"model": "torch.nn:Identity", "options": {"width": 4}}, ModelError, "called without arguments"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    volumes: Cohort, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        go(volumes, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"keep": "first"},
        {"precision": "fp16"},
        {"patience": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
    ],
)
def test_configurations_are_checked_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=next(iter(changes))):
        TrainingConfig(**changes)


def test_a_loss_that_is_not_finite_is_an_error_and_no_run(volumes: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not finite in epoch \d.*lower the learning rate \(1e\+30\)"):
        go(volumes, tmp_path / "run", config=TrainingConfig(epochs=9, device="cpu", learning_rate=1e30))
    assert not (tmp_path / "run" / "run.json").exists()


def test_given_roles_are_trained_on_and_are_not_called_randomised(volumes: Cohort, tmp_path: Path) -> None:
    of = {s: Role.MEMBER if n % 2 else Role.NONMEMBER for n, s in enumerate(volumes.subjects)}
    Roles(of | {"sub lost": Role.MEMBER}).write(tmp_path / "roles.tsv")
    run = go(volumes, tmp_path / "run", members=tmp_path / "roles.tsv")
    assert run.roles.of == of
    assert not run.randomised


def test_a_subject_on_both_sides_is_refused(volumes: Cohort, tmp_path: Path) -> None:
    (tmp_path / "r.tsv").write_text("subject\trole\na\tmember\na\tnon-member\n")
    with pytest.raises(DataLeakageError):
        go(volumes, tmp_path / "run", members=tmp_path / "r.tsv")


def test_an_imported_model_is_the_trained_one(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    default = go(volumes, tmp_path / "trained", options={}, config=TrainingConfig(epochs=1, device="cpu"))
    weights = default.path / "weights.safetensors"
    for _ in range(2):
        taken = import_run(
            tmp_path / "in", cohort=volumes, model="cnn3d", weights=weights, roles=default.roles
        )
        assert taken.weights_fingerprint == default.weights_fingerprint
        assert not taken.randomised
        assert not taken.training
    with pytest.raises(OutputConflictError, match="roles"):
        roles = Roles({s: Role.MEMBER if n % 2 else Role.NONMEMBER for n, s in enumerate(volumes.subjects)})
        import_run(tmp_path / "in", cohort=volumes, model="cnn3d", weights=weights, roles=roles)
    with pytest.raises(ModelError, match="do not fit the model"):
        narrow = run.path / "weights.safetensors"
        import_run(tmp_path / "other", cohort=volumes, model="cnn3d", weights=narrow, roles=default.roles)


def test_a_pickled_model_is_refused_on_import(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    torch.save(run.load(), tmp_path / "model.pt")
    with pytest.raises(UnsafeWeightsError):
        import_run(
            tmp_path / "in", cohort=volumes, model="cnn3d", weights=tmp_path / "model.pt", roles=run.roles
        )
    assert not (tmp_path / "in").exists()
