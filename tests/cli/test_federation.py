"""``memberscan federation``: what is printed and written, and what is refused with which exit code."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from memberscan.cohort import Cohort
from memberscan.federation.ckks import PUBLIC, SECRET
from memberscan.runs import Roles

from .conftest import Command

INIT = ("--model", "mlp", "--learners", 3)


def test_init_writes_the_app(command: Command, tmp_path: Path) -> None:
    options = (*INIT, "--rounds", 7, "--width", 16, "--learning-rate", 0.5)
    done = command("federation", "init", tmp_path / "app", "--run", tmp_path / "run", *options, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {
        "app": str(tmp_path / "app"),
        "run": str(tmp_path / "run"),
        "learners": 3,
        "rounds": 7,
    }
    written = tomllib.loads((tmp_path / "app" / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert (written["config"]["width"], written["config"]["learning-rate"]) == (16, 0.5)
    again = command("federation", "init", tmp_path / "app", "--run", tmp_path / "run", *options)
    assert again.code == 3
    assert "not an empty folder" in again.err


@pytest.mark.parametrize("one_of_two", [("--secure", "ckks"), ("--public", "public.ckks")])
def test_init_wants_the_public_key_with_encryption(
    command: Command, tmp_path: Path, one_of_two: tuple[str, str]
) -> None:
    done = command("federation", "init", tmp_path / "app", "--run", tmp_path / "run", *INIT, *one_of_two)
    assert done.code == 2
    assert "memberscan federation keys" in done.err
    assert not (tmp_path / "app").exists()


def test_site_writes_its_roles_once(command: Command, tmp_path: Path, table: Cohort) -> None:
    arguments = ("federation", "site", table.path, tmp_path / "roles.tsv", "--learner", "site-a")
    done = command(*arguments, "--held-out", 0.25, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {
        "roles": str(tmp_path / "roles.tsv"),
        "learner": "site-a",
        "members": 30,
        "held_out": 10,
    }
    assert len(Roles.read(tmp_path / "roles.tsv").members_of("site-a")) == 30
    assert command(*arguments, "--held-out", 0.5).code == 3


def test_keys_are_made_once_and_the_secret_one_is_the_owners(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("tenseal")
    done = command("federation", "keys", tmp_path / "keys")
    assert done.code == 0, done.err
    assert (tmp_path / "keys" / SECRET).stat().st_mode & 0o077 == 0
    secret = (tmp_path / "keys" / SECRET).read_bytes()
    assert command("federation", "keys", tmp_path / "keys").code == 3
    assert (tmp_path / "keys" / SECRET).read_bytes() == secret
    assert (tmp_path / "keys" / PUBLIC).exists()


def test_an_encrypted_federation_says_what_encryption_costs(
    command: Command, tmp_path: Path, table: Cohort
) -> None:
    arguments = ("--model", "mlp", "--width", 8, "--learners", 2, "--held-out", 0.3, "--rounds", 1)
    done = command("federate", table.path, tmp_path / "run", *arguments, "--secure", "ckks", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["bytes_a_round"] > 100 * said["bytes_in_the_clear"] > 0
    assert said["seconds_a_round"] > 0 and said["seconds_in_the_clear"] >= 0
    clear = json.loads(command("federate", table.path, tmp_path / "clear", *arguments, "--json").out)
    assert "bytes_a_round" not in clear and clear["learners"] == 2


def test_a_pruned_federation_prints_its_sparsity_by_round(
    command: Command, tmp_path: Path, table: Cohort
) -> None:
    arguments = ("--model", "mlp", "--width", 8, "--learners", 2, "--held-out", 0.3, "--rounds", 2)
    defence = ("--local-epochs", 1, "--defence", "fedsparsify:sparsity=0.5,where=server")
    done = command("federate", table.path, tmp_path / "run", *arguments, *defence, "--json")
    assert done.code == 0, done.err
    first, last = json.loads(done.out)["sparsity"]
    assert (first["round"], first["planned"], last["round"], last["planned"]) == (1, 0, 2, 0.5)
    assert first["reached"] < 0.02 and last["reached"] == pytest.approx(0.5, abs=0.01)
    printed = command("federate", table.path, tmp_path / "run", *arguments, *defence).out.splitlines()
    assert printed[-3].split() == ["round", "planned", "reached"]
    assert printed[-1].split() == ["2", "50.00%", f"{last['reached']:.2%}"]
