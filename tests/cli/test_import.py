"""``memberscan import``: a model, or a federation, that was trained elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from memberscan.cohort import Cohort
from memberscan.runs import Role, Run

from .conftest import Command


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """One round of one learner, by another's conventions, and the roles of it."""
    for name in ("r0/server", "r1/server", "r1/site-a"):
        (tmp_path / "kept" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run.path / "weights.safetensors", tmp_path / "kept" / f"{name}.safetensors")
    lines = [f"{s}\t{r}\t{'site-a' if r is Role.MEMBER else 'n/a'}" for s, r in run.roles.of.items()]
    (tmp_path / "roles.tsv").write_text("\n".join(["subject\trole\tlearner", *lines]) + "\n")
    return tmp_path / "kept"


def test_a_federation_is_taken_in(command: Command, run: Run, volumes: Cohort, folder: Path, tmp_path: Path):
    given = ("--cohort", volumes.path, "--model", "cnn3d", "--roles", tmp_path / "roles.tsv", "--width", 4)
    done = command("import", tmp_path / "in", *given, "--transcript", folder, "--json")
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    assert (facts["learners"], facts["rounds"]) == (1, 1)
    assert (
        facts["left_out"] == "site-a in round 1: its model is the global model of round 0: it did not train"
    )
    assert facts["weights"] == run.weights_fingerprint
    again = command(
        "import", tmp_path / "model", *given, "--weights", run.path / "weights.safetensors", "--json"
    )
    assert "rounds" not in json.loads(again.out) and Run.open(tmp_path / "model").spec == run.spec


def test_what_is_lacking_is_said(refused: Callable[..., None], volumes: Cohort, folder: Path, tmp_path: Path):
    given = ("--cohort", volumes.path, "--model", "cnn3d", "--roles", tmp_path / "roles.tsv")
    refused("import", tmp_path / "in", *given, code=2, says="--transcript")
    refused("import", tmp_path / "in", *given, "--transcript", folder, code=2, says="do not fit the model")
    shutil.rmtree(folder / "r0")
    refused("import", tmp_path / "in", *given, "--transcript", folder, code=2, says="has no round 0")
    assert not (tmp_path / "in").exists()
