from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import (
    BadInputError,
    CohortError,
    FederationError,
    MissingExtraError,
    ModelError,
    NotARegressorError,
    OutputConflictError,
    TooFewSubjectsError,
    TranscriptError,
)
from memberscan.federation import ckks, client, engines
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.runs import Role, Run
from memberscan.training import TrainingConfig

from .consortium import contents, settings

OPTIONS = {"learners": 3, "held_out": 0.3, "seed": 0}


@pytest.fixture(scope="module")
def finished(table: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("federate") / "run"
    return federate(table, path, settings=settings(), environment="skewed-noniid", **OPTIONS)


def test_a_run_is_left_with_its_transcript(finished: Run, table: Cohort) -> None:
    run = Run.open(finished.path)
    assert run == finished
    assert len(run.roles.subjects(Role.NONMEMBER)) == 12
    assert run.roles.learners == ("learner-1", "learner-2", "learner-3") == run.transcript.learners
    assert run.federation == {
        "environment": "skewed-noniid",
        "rounds": 3,
        "local_epochs": 2,
        "secure": "none",
    }
    assert run.training["epochs"] == 2 and "seed" not in run.training
    assert not run.randomised
    last, model = run.transcript.global_model(3), run.load()
    assert all(torch.equal(value, last[name]) for name, value in model.state_dict().items())
    assert not model.training
    assert {p.name for p in run.path.iterdir()} == {
        "request.json",
        "roles.salt",
        "roles.tsv",
        "rounds",
        "run.json",
        "timings.jsonl",
        "weights.safetensors",
    }


def test_the_request_says_all_that_was_asked(finished: Run, table: Cohort) -> None:
    request = json.loads((finished.path / "request.json").read_text())
    assert request == {
        "command": "federate",
        "cohort": table.fingerprint,
        "environment": "skewed-noniid",
        "roles": finished.roles.fingerprint,
        "engine": "local",
        "membership_seed": 0,
        **asdict(settings()),
    }


def test_a_finished_run_is_returned_as_it_is(
    finished: Run, table: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "simulate", None)
    before = {p: p.stat().st_mtime_ns for p in finished.path.rglob("*")}
    again = federate(
        table.path, str(finished.path), settings=settings(), environment="skewed-noniid", **OPTIONS
    )
    assert again == Run.open(finished.path)
    assert {p: p.stat().st_mtime_ns for p in finished.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": settings(rounds=2)}, "rounds was 3 and is now 2"),
        ({"settings": settings(rounds=4), "learners": 4}, "roles is different"),
        ({"settings": settings(secure="ckks")}, "secure was none and is now ckks"),
        ({"environment": "skewed-iid"}, "environment"),
        ({"learners": 4}, "roles"),
        ({"held_out": 0.4}, "roles"),
        ({"by": "sex"}, "environment .*now by-site"),
        ({"engine": "ray"}, "engine was local and is now ray"),
    ],
)
def test_another_configuration_is_refused(
    finished: Run, table: Cohort, changes: dict[str, Any], message: str
) -> None:
    kept = contents(finished.path)
    options = {"settings": settings(), "environment": "skewed-noniid", **OPTIONS, **changes}
    with pytest.raises(OutputConflictError, match=message):
        federate(table, finished.path, **options)
    assert contents(finished.path) == kept


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"environment": "uniform"}, BadInputError, "environment 'uniform' is unknown"),
        ({"learners": 1}, BadInputError, "learners is 1"),
        ({"learners": 29}, BadInputError, "28 members are too few"),
        ({"held_out": 0}, BadInputError, "held_out is 0"),
        ({"held_out": 0.1}, TooFewSubjectsError, "36 members and 4 non-members"),
        ({"engine": "mpi"}, BadInputError, "engine 'mpi' is unknown; choose local or ray"),
        ({"by": "site"}, CohortError, "no covariate 'site'"),
        ({"settings": settings(model="cnn3d", options={})}, ModelError, "works on volumes"),
        ({"settings": settings(model="resnet")}, ModelError, "model 'resnet' is unknown"),
        ({"settings": settings(options={"dropout": 0.3})}, ModelError, "takes the options width"),
        ({"settings": settings(model="torch.nn:Identity")}, ModelError, "called without arguments"),
        (
            {"settings": settings(model="torch.nn:Identity", options={})},
            NotARegressorError,
            "one number per scan",
        ),
        ({"settings": settings(min_learners=4)}, BadInputError, "3 learners hold members, fewer"),
        ({"settings": Settings("mlp", training=TrainingConfig(device="tpu"))}, BadInputError, "'tpu'"),
    ],
)
def test_what_cannot_begin_leaves_no_trace(
    table: Cohort, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        federate(table, tmp_path / "run", **{"settings": settings(), **OPTIONS, **changes})
    assert not list(tmp_path.iterdir())


def test_a_cohort_of_another_kind_is_refused(volumes: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="works on a table of features"):
        federate(volumes, tmp_path / "run", settings=settings(), learners=2, held_out=0.4)


def test_a_directory_of_something_else_is_left_alone(table: Cohort, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("42")
    with pytest.raises(OutputConflictError, match="not a memberscan output"):
        federate(table, tmp_path, settings=settings(), **OPTIONS)


@pytest.mark.parametrize("environment", ["uniform-iid", "uniform-noniid"])
def test_only_iid_members_count_as_drawn_at_random(table: Cohort, tmp_path: Path, environment: str) -> None:
    run = federate(table, tmp_path / "run", settings=settings(rounds=1), environment=environment, **OPTIONS)
    assert run.randomised is (environment == "uniform-iid")


def test_sites_can_be_the_learners(table: Cohort, tmp_path: Path) -> None:
    run = federate(table, tmp_path / "run", settings=settings(rounds=1), by="sex", held_out=0.3, seed=0)
    assert run.transcript.learners == ("F", "M")
    sex = table.scans.set_index("subject_id")["sex"]
    assert {sex[s] for s in run.roles.members_of("F")} == {"F"}
    assert run.federation is not None
    assert run.federation["environment"] == "by-site"
    assert not run.randomised


def test_subjects_with_two_scans_stay_in_one_place(volumes: Cohort, tmp_path: Path) -> None:
    its = settings(model="slice-mean", options={"width": 2}, rounds=1)
    run = federate(volumes, tmp_path / "run", settings=its, learners=2, held_out=0.4, seed=0)
    scans = volumes.scans.groupby("subject_id").size()
    took = run.transcript.rounds[0].took_part
    assert {n: p.samples for n, p in took.items()} == {
        n: int(scans[run.roles.members_of(n)].sum()) for n in run.roles.learners
    }
    assert pd.Series(run.roles.learner).index.is_unique


def test_it_goes_on_after_too_few_were_left(
    table: Cohort, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, calls = client.train_epoch, []

    def failing(*arguments: Any, **named: Any) -> float:
        calls.append(None)
        if len(calls) > 8:
            raise RuntimeError("out of memory")
        return train(*arguments, **named)

    options = {"settings": settings(), "environment": "skewed-noniid", **OPTIONS}
    monkeypatch.setattr(client, "train_epoch", failing)
    with pytest.raises(FederationError, match=r"in round 2 only 1 learners.*out of memory.*run the same"):
        federate(table, tmp_path / "run", **options)
    with pytest.raises(BadInputError, match="not finished"):
        Run.open(tmp_path / "run")
    monkeypatch.setattr(client, "train_epoch", train)
    federate(table, tmp_path / "run", **options)
    found, expected = contents(tmp_path / "run"), contents(finished.path)
    # It says where the cohort is, seen from the run.
    found.pop("run.json"), expected.pop("run.json")
    assert found == expected


def test_an_encrypted_run_keeps_its_keys_and_goes_on(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = settings(rounds=2, secure="ckks")
    combine, calls = ckks.weighted_sum, []

    def failing(*arguments: Any) -> list[bytes]:
        calls.append(None)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return combine(*arguments)

    monkeypatch.setattr(ckks, "weighted_sum", failing)
    with pytest.raises(KeyboardInterrupt):
        federate(table, tmp_path / "run", settings=its, **OPTIONS)
    secret = (tmp_path / "run" / "secret.ckks").read_bytes()
    run = federate(table, tmp_path / "run", settings=its, **OPTIONS)
    assert (run.path / "secret.ckks").read_bytes() == secret
    assert (run.path / "secret.ckks").stat().st_mode & 0o777 == 0o600
    plain = federate(table, tmp_path / "plain", settings=settings(rounds=2), **OPTIONS)
    for name, value in run.load().state_dict().items():
        torch.testing.assert_close(value, plain.load().state_dict()[name], rtol=0, atol=1e-4)
    assert run.federation is not None
    assert run.federation["secure"] == "ckks"


def test_keys_of_which_one_was_written_are_made_anew(table: Cohort, tmp_path: Path) -> None:
    its, path = settings(rounds=1, secure="ckks"), tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "simulate", None)
        with pytest.raises(TypeError):
            federate(table, path, settings=its, **OPTIONS)
    lone = (path / "secret.ckks").read_bytes()
    (path / "public.ckks").unlink()
    federate(table, path, settings=its, **OPTIONS)
    assert (path / "secret.ckks").read_bytes() != lone


def test_a_lost_round_of_a_finished_run_is_told(table: Cohort, tmp_path: Path) -> None:
    run = federate(table, tmp_path / "run", settings=settings(), **OPTIONS)
    shutil.rmtree(run.path / "rounds" / "0003")
    with pytest.raises(TranscriptError, match="has 2 of 3 rounds"):
        _ = run.transcript


def without(module: str) -> Callable[..., Any]:
    """Return what finds all modules but this one."""
    found = importlib.util.find_spec
    return lambda name, *rest: None if name == module else found(name, *rest)


def test_a_missing_ray_is_named_with_its_extra(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without("ray"))
    with pytest.raises(MissingExtraError, match=r"needs Ray, which.*pip install 'memberscan\[simulation\]'"):
        federate(table, tmp_path / "run", settings=settings(), **OPTIONS, engine="ray")


def test_a_missing_flower_is_named_with_its_extra(table: Cohort, tmp_path: Path) -> None:
    script = f"""
import sys, importlib.util
from memberscan.errors import MissingExtraError
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "flwr" else found(name, *rest)
sys.modules["flwr"] = None
from memberscan.federation.simulated_run import federate
from memberscan.federation.settings import Settings
try:
    federate({str(table.path)!r}, {str(tmp_path / "run")!r}, settings=Settings("mlp"), learners=3,
             held_out=0.3)
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'memberscan[federated]'" in done.stdout, done.stderr
    assert "needs Flower (flwr" in done.stdout


def test_a_missing_tenseal_is_named_with_its_extra(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(MissingExtraError, match=r"memberscan\[he\]"):
        federate(table, tmp_path / "run", settings=settings(secure="ckks"), **OPTIONS)
    # Nothing is left that would refuse the federation without encryption.
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("secure", ["none", "ckks"])
def test_a_finished_federation_goes_on_to_more_rounds_as_if_all_were_asked_at_once(
    table: Cohort, tmp_path: Path, secure: str
) -> None:
    if secure == "ckks":
        pytest.importorskip("tenseal")
    whole = federate(table, tmp_path / "whole", settings=settings(rounds=3, secure=secure), **OPTIONS)
    federate(table, tmp_path / "run", settings=settings(rounds=1, secure=secure), **OPTIONS)
    longer = federate(table, tmp_path / "run", settings=settings(rounds=3, secure=secure), **OPTIONS)
    assert longer.federation == whole.federation and len(longer.transcript.rounds) == 3
    if secure == "none":
        # The salts of the two runs differ, and with them the digest of the roles in run.json.
        apart = {"run.json", "roles.salt", "timings.jsonl"}
        first, second = contents(whole.path), contents(longer.path)
        assert first.keys() == second.keys()
        assert all(first[name] == second[name] for name in first if name not in apart)
    with pytest.raises(OutputConflictError, match="rounds was 3 and is now 2"):
        federate(table, tmp_path / "run", settings=settings(rounds=2, secure=secure), **OPTIONS)


def test_a_federation_that_is_extended_is_unfinished_until_its_last_round(
    table: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = federate(table, tmp_path / "run", settings=settings(rounds=1), **OPTIONS)
    before = run.weights_fingerprint

    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engines, "coordinate", fails)
        federate(table, tmp_path / "run", settings=settings(rounds=2), **OPTIONS)
    with pytest.raises(BadInputError, match="not finished"):
        Run.open(tmp_path / "run")
    with pytest.raises(OutputConflictError, match="rounds was 2 and is now 1"):
        federate(table, tmp_path / "run", settings=settings(rounds=1), **OPTIONS)
    assert federate(table, run.path, settings=settings(rounds=2), **OPTIONS).weights_fingerprint != before


def test_members_are_drawn_in_secret_unless_a_seed_is_given(table: Cohort, tmp_path: Path) -> None:
    options = {**OPTIONS, "settings": settings(rounds=1), "seed": None}
    one, two = (federate(table, tmp_path / name, **options) for name in ("one", "two"))
    assert one.roles != two.roles
    again = federate(table, tmp_path / "one", **options)
    assert again.roles == one.roles
    seed = json.loads((one.path / "request.json").read_text())["membership_seed"]
    for path in (one.path / "run.json", one.path / "rounds" / "transcript.json"):
        assert str(seed) not in path.read_text()
