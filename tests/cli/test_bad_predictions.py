"""Bad predictions, options and outputs get a clear error with the right exit code, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import files
from memberscan.cohort import Cohort

from .conftest import Command, people

Refused = Callable[..., None]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    """Return a function that writes a predictions file."""

    def write(table: pd.DataFrame) -> Path:
        table.to_csv(tmp_path / "p.csv", index=False)
        return tmp_path / "p.csv"

    return write


def test_a_source_that_does_not_exist(refused: Refused, tmp_path: Path):
    refused("audit", tmp_path / "p.tsv", tmp_path / "a", code=2, says="give a run directory, or a TSV or CSV")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.rename(columns={"prediction": "brain_age"}), "has no column prediction"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "is in more than one row"),
        (lambda t: t.assign(prediction=t["prediction"].where(t.index != 3)), "NaN"),
        (lambda t: t.assign(age=t["age"].astype(str).where(t.index != 3, "old")), "'old'"),
        (lambda t: t.assign(prediction=t["prediction"].astype(str).where(t.index != 3, "n.d.")), "'n.d.'"),
        (lambda t: t.assign(age=t["age"].where(t.index != 3)), "has no age"),
        (lambda t: t.assign(member=1), "members only"),
        (lambda t: t.assign(member=0), "non-members only"),
        (lambda t: t.assign(member="maybe"), "write 1 for members and 0 for non-members"),
        (lambda t: t.head(0), "p.csv"),
        (lambda t: t.head(19), "at least 10 of each"),
        (
            lambda t: pd.concat([t, t.head(1).assign(member=0)]).assign(scan_id=range(61)),
            "is both a member and a non-member",
        ),
    ],
    ids=[
        "a column missing", "duplicate ids", "NaN predictions", "text as age", "text as prediction", "no age",
        "members only", "non-members only", "no membership", "no rows", "too few", "a subject on both sides",
    ],
)  # fmt: skip
def test_bad_predictions(change, says: str, written, refused: Refused, tmp_path: Path):
    refused("audit", written(change(people())), tmp_path / "audit", code=2, says=says)
    assert not (tmp_path / "audit").exists()


def test_a_file_that_is_no_table(refused: Refused, tmp_path: Path):
    (tmp_path / "p.tsv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    refused("audit", tmp_path / "p.tsv", tmp_path / "audit", code=2, says="p.tsv")


def test_probabilities_are_refused(written, refused: Refused, tmp_path: Path):
    table = people()
    path = written(table.assign(prediction=np.linspace(0, 1, len(table))))
    refused("audit", path, tmp_path / "audit", code=3, says="probabilities of a classifier")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--access", "everything"), "choose one of: outputs, weights"),
        (("--access", "rounds"), "choose an attacker within the federation (--attacker learner or server)"),
        (("--attacker", "nobody"), "choose one of: outsider, learner, server"),
        (("--attacker", "server"), "this is a predictions file; give a run"),
        (("--leaked", "1.5"), "give a share from 0 to 0.9"),
        (("--leaked", "nan"), "give a share from 0 to 0.9"),
        (("--repeats", "0"), "at least 1 draw"),
        (("--attacks", "eror"), "unknown; choose from error"),
        (("--attacks", "error", "error"), "name each attack once"),
        (("--attacks", "gradient:conv1"), "outputs only"),
        (("--seed", "-1"), "seed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options_of_audit(
    options: tuple[str, ...], says: str, predictions: Path, refused: Refused, tmp_path: Path
):
    refused("audit", predictions, tmp_path / "audit", *options, code=2, says=says)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--epochs", "0"), "at least 1"),
        (("--keep", "first"), "choose last or best"),
        (("--keep", "best"), "--validation 0.1"),
        (("--precision", "fp16"), "choose fp32 or bf16"),
        (("--members", "1.5"), "between 0 and 1"),
        (("--validation", "1"), "at least 0 and below 1"),
        (("--device", "abacus"), "abacus"),
        (("--batch-size", "0"), "at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options_of_train(
    options: tuple[str, ...], says: str, volumes: Cohort, refused: Refused, tmp_path: Path
):
    refused("train", volumes.path, tmp_path / "run", "--model", "cnn3d", *options, code=2, says=says)


@pytest.mark.parametrize("grid", ["91x109", "axbxc", "", "0x5x5", "-4x5x6", "9x9x9x9"])
def test_a_grid_that_is_none(grid: str, refused: Refused):
    refused("models", "--grid", grid, code=2, says="not of the form 91x109x91")


def test_a_newer_schema(predictions: Path, command: Command, refused: Refused, tmp_path: Path):
    command("audit", predictions, tmp_path / "audit", "--attacks", "error")
    stored = tmp_path / "audit" / "audit.json"
    stored.write_text(json.dumps(json.loads(stored.read_text()) | {"schema": "memberscan.audit/9"}))
    refused("report", tmp_path / "audit", code=2, says="upgrade memberscan")


def test_a_report_of_nothing(refused: Refused, tmp_path: Path):
    refused("report", tmp_path, code=2, says="run memberscan audit first")


def test_an_output_that_holds_other_files(predictions: Path, refused: Refused, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    refused("audit", predictions, tmp_path / "out", code=3, says="choose another output directory")
    refused("cohort", "phantom", tmp_path / "out", code=3, says="choose another output directory")


def test_an_output_that_is_a_file(predictions: Path, refused: Refused, tmp_path: Path):
    refused("audit", predictions, predictions, code=3, says="choose another output directory")
    refused("audit", predictions, predictions / "audit", code=2, says="check the path")


def test_a_full_disk(predictions: Path, command: Command, refused: Refused, tmp_path: Path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        refused("audit", predictions, tmp_path / "audit", code=3, says="the disk is full")
    assert command("audit", predictions, tmp_path / "audit").code == 0
