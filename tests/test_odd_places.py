"""Folders, pipes, devices and broken links where a file should be, and files where a folder should be."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from memberscan import audit
from memberscan.auditing import AuditResult
from memberscan.auditing.merging import load_audits
from memberscan.cli import main
from memberscan.cohort import Cohort
from memberscan.errors import MemberscanError
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.runs import Run, Transcript
from memberscan.training import TrainingConfig, train

CONFIG = TrainingConfig(epochs=1, device="cpu")


def read_run(path: Path) -> None:
    Run.open(path).load()


def read_rounds(path: Path) -> None:
    transcript = Transcript.open(path)
    assert transcript.fingerprint
    for number in range(3):
        transcript.global_model(number)
        for name in transcript.learners if number else ():
            transcript.learner_model(number, name)
    transcript.copy(path.parent / "copy")


def read_cohort(path: Path) -> None:
    cohort = Cohort.open(path)
    cohort.read(cohort.scans.index[:3].tolist())


def read_audit(path: Path) -> None:
    AuditResult.load(path)
    load_audits([path])


READERS: Mapping[str, Callable[[Path], None]] = {
    "run": read_run,
    "rounds": read_rounds,
    "table": read_cohort,
    "volumes": read_cohort,
    "audit": read_audit,
}
UNREAD = {"request.json", "history.jsonl", "timings.jsonl", "audit.html", "roles.salt", "scores.tsv"}
"""Files that are not read for this, or need not be there."""
IN_PLACE: Mapping[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "nothing": lambda path: None,
    "no bytes": Path.touch,
}


@pytest.fixture(scope="module")
def good(table: Cohort, volumes: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for cohort, name in ((table, "table"), (volumes, "volumes")):
        shutil.copytree(cohort.path, folder / name)
    train(table, folder / "run", model="mlp", options={"width": 4}, config=CONFIG, seed=0)
    audit(folder / "run", folder / "audit", attacks=["error"])
    asked = Settings("mlp", {"width": 4}, CONFIG, rounds=2)
    federate(table, folder / "federated", settings=asked, learners=2, held_out=0.5, seed=0)
    shutil.copytree(folder / "federated" / "rounds", folder / "rounds")
    return folder


@pytest.mark.parametrize("instead", IN_PLACE)
@pytest.mark.parametrize("what", READERS)
def test_something_else_in_the_place_of_a_file_is_an_error_that_names_it(
    good: Path, tmp_path: Path, what: str, instead: str
) -> None:
    names = [p.relative_to(good / what) for p in (good / what).rglob("*") if p.is_file()]
    assert names
    for number, name in enumerate(names):
        path = tmp_path / str(number) / what
        shutil.copytree(good / what, path)
        (path / name).unlink()
        IN_PLACE[instead](path / name)
        try:
            READERS[what](path)
        except MemberscanError as error:
            assert str(path) in str(error), (name, error)
        else:
            assert name.name in UNREAD or "signals" in name.parts, name


@pytest.mark.parametrize("what", ["rounds/0000", "rounds/0001"])
def test_a_file_in_the_place_of_a_round_is_an_error_that_names_it(
    good: Path, tmp_path: Path, what: str
) -> None:
    shutil.copytree(good / "rounds", tmp_path / "rounds")
    shutil.rmtree(tmp_path / what)
    (tmp_path / what).write_text("a file")
    with pytest.raises(MemberscanError, match=what):
        read_rounds(tmp_path / "rounds")


COMMANDS: Mapping[str, list[str]] = {
    "train": ["train", "table", "{}", "--model", "mlp", "--epochs", "1"],
    "federate": ["federate", "table", "{}", "--model", "mlp", "--rounds", "1", "--held-out", "0.5"],
    "audit": ["audit", "run", "{}", "--attacks", "error"],
    "merge": ["report", "--merge", "audit", "--out", "{}"],
    "cohort": ["cohort", "phantom", "{}", "--subjects", "2", "--spacing", "20"],
    "keys": ["federation", "keys", "{}"],
    "an audit of a file": ["audit", "{}", "out"],
    "a report of a file": ["report", "{}"],
    "a cohort of a file": ["train", "{}", "out", "--model", "mlp"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["a file", "below a file", "below a file that is a link"])
def test_a_place_that_is_no_folder_ends_in_words(
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    place: str,
) -> None:
    for name in ("table", "run", "audit"):
        (tmp_path / name).symlink_to(good / name)
    (tmp_path / "taken").write_text("somebody's")
    (tmp_path / "link").symlink_to("taken")
    target = {"a file": "taken", "below a file": "taken/out"}.get(place, "link/out")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["memberscan", *(word.format(target) for word in COMMANDS[command])])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (2, 3)
    said = capsys.readouterr().err
    assert "taken" in said or "link" in said, said
    assert "Traceback" not in said
    assert (tmp_path / "taken").read_text() == "somebody's"
