"""``memberscan inspect``: exit codes, JSON, ids only when asked for, and a cleaned copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Command


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "people.csv").write_text("participant_id,age\nana,30\nbob,40\ncat,50\n")
    (folder / "config.json").write_text('{"layers": 3}')
    return folder


def test_it_fails_when_asked_to_and_shows_ids_only_when_asked_to(release: Path, command: Command):
    done = command("inspect", release)
    assert done.code == 0 and done.out.startswith("leaks: ") and "ana" not in done.out
    assert command("inspect", release, "--fail-on", "leaks").code == 4
    (release / "people.csv").unlink()
    assert command("inspect", release, "--fail-on", "leaks,look").code == 0
    wrong = command("inspect", release, "--fail-on", "everything")
    assert wrong.code == 2 and "choose leaks or look" in wrong.err


def test_json_a_cleaned_copy_and_ids(release: Path, command: Command, tmp_path: Path):
    copy = tmp_path / "copy"
    done = command("inspect", release, "--strip", copy, "--out", tmp_path / "out", "--show", "--json")
    content = json.loads(done.out)
    assert content["verdict"] == "leaks" and content["ids"] == ["ana", "bob", "cat"]
    assert {each["file"]: each["action"] for each in content["cleaned"]} == {
        "config.json": "copied",
        "people.csv": "left out",
    }
    assert [path.name for path in copy.iterdir()] == ["config.json"]
    assert "ana" in (tmp_path / "out" / "ids.tsv").read_text()
    again = command("inspect", release, "--strip", copy)
    assert again.code == 3 and "exists" in again.err
    assert command("inspect", copy, "--fail-on", "leaks,look").code == 0


def test_outputs_within_the_release_are_refused(release: Path, command: Command):
    for option in ("--out", "--strip"):
        done = command("inspect", release, option, release / "here")
        assert done.code == 2 and "outside the release" in done.err


def test_a_report_never_gets_into_the_copy(release: Path, command: Command, tmp_path: Path):
    for out, copy in (("x", "x"), ("x/report", "x"), ("x", "x/copy")):
        done = command("inspect", release, "--out", tmp_path / out, "--strip", tmp_path / copy)
        assert done.code == 2 and "within each other" in done.err and not (tmp_path / "x").exists()


def test_names_of_files_left_out_of_the_copy_hold_no_ids(release: Path, command: Command, tmp_path: Path):
    (release / "sub-0001.json").write_text("{}")
    (release / "100307.json").write_text("{}")
    done = command("inspect", release, "--strip", tmp_path / "copy")
    assert done.code == 0 and "left out" in done.out
    assert "sub-0001" not in done.out and "100307" not in done.out
