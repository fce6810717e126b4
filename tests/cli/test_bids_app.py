"""``memberscan-bids``: both levels, the usual options, and a derivative that says what made it."""

from __future__ import annotations

import functools
import json
import shlex
import sys
from pathlib import Path

import pytest
import typer

from memberscan import auditing
from memberscan.cli import bids_app
from memberscan.cli.root import each_value_named

from .conftest import Command, Done

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs ``memberscan-bids`` with these arguments."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["memberscan-bids", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            bids_app.main()
        captured = capfd.readouterr()
        return Done(int(end.value.code or 0), captured.out, captured.err)

    return run


def test_the_participant_level_prepares_and_checks(call: Command, bids: Path, tmp_path: Path):
    words = (bids, tmp_path / "out", "participant", "--select", "desc=brain", "--spacing", 10)
    done = call(*words, "--skip-bids-validation", "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert (facts["subjects"], facts["excluded"], facts["unusual"]) == (2, 0, 0)
    described = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert described["GeneratedBy"][0]["Name"] == "memberscan"
    assert len((tmp_path / "out" / "quality_T1w.tsv").read_text().splitlines()) == 3
    assert json.loads(call(*words, "--json").out) == facts


@pytest.mark.parametrize("option", ["--participant-label", "--participant_label"])
def test_labels_are_several_with_or_without_sub(call: Command, bids: Path, tmp_path: Path, option: str):
    words = (bids, tmp_path / "out", "participant", option, "1", "sub-2", "--select", "desc=brain")
    assert json.loads(call(*words, "--spacing", 10, "--json").out)["subjects"] == 2
    done = call(bids, tmp_path / "other", "participant", option, "3", "--quiet")
    assert done.code == 2 and "no such image of 3" in done.err


def test_the_group_level_audits_predictions(
    call: Command, bids: Path, predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(auditing, "audit", functools.partial(auditing.audit, attacks=("error",)))
    done = call(bids, tmp_path / "out", "group", "--predictions", predictions)
    assert done.code == 0, done.err
    assert done.out.strip().endswith(f"report: {tmp_path / 'out' / 'audit' / 'audit.html'}")
    assert "audit/" in (tmp_path / "out" / ".bidsignore").read_text()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("group",), "give --model RUN or --predictions FILE"),
        (("group", "--model", "a", "--predictions", "b"), "give --model RUN or --predictions FILE"),
        (("group", "--model", "a", "--participant-label", "1"), "--participant-label: not for the group"),
        (("participant", "--predictions", "a"), "--predictions: not for the participant level"),
        (("group", "--predictions", "nowhere.tsv"), "nowhere.tsv"),
        (("everybody",), "'everybody' is not one of"),
        (("participant", "--quiet", "--verbose"), "contradict each other"),
        (("participant", "--n-cpus", "0"), "at least 1 is needed"),
    ],
)
def test_wrong_calls_are_refused_before_anything_is_written(
    call: Command, bids: Path, tmp_path: Path, given: tuple[str, ...], says: str
):
    done = call(bids, tmp_path / "out", *given)
    assert (done.code, done.out) == (2, "") and says in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()


def test_the_version_is_printed(call: Command):
    assert call("--version").out.startswith("memberscan ")


def test_commands_of_the_documentation_parse():
    command = typer.main.get_command(bids_app.app)
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "containers").glob("*.md")]
    text = "\n".join(page.read_text("utf-8").replace("\\\n", " ") for page in pages)
    lines = [line for line in text.splitlines() if line.startswith("$ memberscan-bids ")]
    assert len(lines) >= 3
    for line in lines:
        _, _, *words = shlex.split(line)
        command.make_context("memberscan-bids", each_value_named(words, bids_app.LABELS))
