"""Options of commands come from the configurations: none is left out, and every one arrives."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import typer

from memberscan.cli import app
from memberscan.cohort import Cohort
from memberscan.configuration import options_of
from memberscan.defences import DEFENCES
from memberscan.federation.run_config import LOCAL_NAMES, NOT_FOR_LEARNERS, SITES_OWN, settings_of
from memberscan.federation.settings import Settings
from memberscan.models.heads import HEADS
from memberscan.models.model_options import ModelOptions
from memberscan.training import TrainingConfig

from .conftest import Command

TRAINING = [option.name for option in options_of(TrainingConfig)]
LEARNERS = [LOCAL_NAMES.get(name, name) for name in TRAINING if name not in NOT_FOR_LEARNERS]
SETTINGS = [option.name for option in options_of(Settings)]
NETWORK = [option.name for option in options_of(ModelOptions)]
WITH_A_COHORT = [name for name in NETWORK if name != "class_count"]
"""Where the number of classes follows from the target of the cohort."""


def options(*command: str) -> dict[str, list[str]]:
    found = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]  # type: ignore[attr-defined]
    return {p.name: p.opts for p in found.params if p.name is not None}


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (("train",), [*TRAINING, *WITH_A_COHORT]),
        (("federate",), [*LEARNERS, *SETTINGS, *NETWORK]),
        (("federation", "init"), [*(n for n in LEARNERS if n not in SITES_OWN), *SETTINGS, *NETWORK]),
        (("import",), WITH_A_COHORT),
    ],
)
def test_every_declared_option_is_there(command: tuple[str, ...], wanted: list[str]) -> None:
    found = options(*command)
    assert wanted and set(wanted) <= set(found)
    assert ("class_count" in found) == ("class_count" in wanted)
    assert all(found[name] == [f"--{name.replace('_', '-')}"] for name in wanted)


def test_what_has_nothing_to_choose_from_is_not_shown(command: Command) -> None:
    shown = command("train", "--help").out
    assert "--weight-decay" in shown and "adam|sgd" in shown and "last|best" in shown
    assert ("--defence" in shown) == bool(DEFENCES) and ("--head" in shown) == (len(HEADS) > 1)


GIVEN = ("--optimizer", "sgd", "--weight-decay", 0.5, "--precision", "bf16", "--learning-rate", 0.25)
STATED = {"optimizer": "sgd", "weight_decay": 0.5, "precision": "bf16", "learning_rate": 0.25}


def test_options_reach_the_request_and_the_run(command: Command, table: Cohort, tmp_path: Path) -> None:
    common = ("--model", "mlp", "--width", 4, "--device", "cpu", *GIVEN)
    assert command("train", table.path, tmp_path / "run", "--epochs", 1, *common).code == 0
    for name in ("request.json", "run.json"):
        content = json.loads((tmp_path / "run" / name).read_text())
        found = content.get("training", content)
        assert {key: found[key] for key in STATED} == STATED
        assert (found["epochs"], found["device"]) == (1, "cpu")
    fed = ("--learners", 2, "--rounds", 1, "--local-epochs", 2, "--held-out", 0.3, "--min-learners", 1)
    assert command("federate", table.path, tmp_path / "fed", *fed, *common).code == 0
    asked = json.loads((tmp_path / "fed" / "request.json").read_text())
    assert (asked["rounds"], asked["min_learners"], asked["training"]["epochs"]) == (1, 1, 2)
    assert {key: asked["training"][key] for key in STATED} == STATED


def test_a_deployed_federation_keeps_all_of_them(command: Command, tmp_path: Path) -> None:
    names = ("--run", tmp_path / "run", "--model", "mlp", "--learners", 3, "--dropout", 0.5)
    assert command("federation", "init", tmp_path / "app", *names, *GIVEN, "--timeout", 9).code == 0
    written = tomllib.loads((tmp_path / "app" / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    settings = settings_of(written["config"])
    assert {key: getattr(settings.training, key) for key in STATED} == STATED
    assert settings.options == {"dropout": 0.5} and settings.timeout == 9.0
    assert "device" not in written["config"]
    refused = command("federation", "init", tmp_path / "b", *names, "--device", "cpu")
    assert refused.code == 2 and "No such option" in refused.err


def test_a_wrong_word_is_refused_with_the_right_ones(command: Command, table: Cohort, tmp_path: Path) -> None:
    done = command("train", table.path, tmp_path / "run", "--model", "mlp", "--optimizer", "adamw")
    assert done.code == 2 and "optimizer is 'adamw'; choose adam or sgd" in done.err
