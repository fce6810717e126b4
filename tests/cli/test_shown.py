"""What standard error shows of a command's work: --quiet, --verbose and --progress json."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from memberscan import __version__, progress
from memberscan.errors import BadInputError
from memberscan.progress import Stage
from memberscan.studies import demo

from .conftest import Command

STAGES = [("begin", "training", 0), ("end", "training", 4)]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a demonstration be one stage of a moment, with a warning in it."""

    def run(*_: object, **__: object) -> dict[str, object]:
        with progress.progress("training", 4) as advance:
            advance(4)
            logging.getLogger("memberscan.federation").warning("site-b is left out\x1b[31m")
        return {}

    monkeypatch.setattr(demo, "run_demo", run)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a demonstration fail within its stage."""

    def run(*_: object, **__: object) -> None:
        with progress.progress("training", 4) as advance:
            advance(1)
            raise BadInputError("no such thing")

    monkeypatch.setattr(demo, "run_demo", run)


def events(text: str) -> list[dict[str, object]]:
    """Return the lines that are JSON objects."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("place", [0, 3])
def test_quiet_shows_the_result_only(command: Command, tmp_path: Path, place: int):
    arguments = ["demo", "--out", tmp_path, "--json"]
    arguments[place:place] = ["--quiet"]
    log = tmp_path / "log"
    done = command(*arguments, "--log-file", log)
    assert (done.code, done.err, json.loads(done.out)) == (0, "", {})
    assert "WARNING site-b is left out" in log.read_text()
    assert not logging.getLogger("memberscan").handlers


def test_quiet_hides_warnings_of_other_libraries(monkeypatch: pytest.MonkeyPatch, command: Command):
    def run(*_: object, **__: object) -> dict[str, object]:
        warnings.warn("of another library", stacklevel=1)
        return {}

    monkeypatch.setattr(demo, "run_demo", run)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert command("demo", "--json", "--quiet").code == 0
        assert not shown
        assert command("demo", "--json").code == 0
    assert [str(each.message) for each in shown] == ["of another library"]


@pytest.mark.usefixtures("failing")
def test_quiet_shows_an_error(command: Command, tmp_path: Path):
    done = command("demo", "--out", tmp_path, "--quiet")
    assert (done.code, done.out, done.err) == (2, "", "memberscan: no such thing\n")


@pytest.mark.usefixtures("work")
def test_verbose_shows_every_line_from_the_beginning(command: Command, tmp_path: Path):
    lines = command("demo", "--out", tmp_path, "--verbose").err.splitlines()
    assert lines[0] == f"memberscan: 0:00 memberscan {__version__}: demo --out {tmp_path} --verbose"
    assert lines[1] == "memberscan: 0:00 training: 0 of 4"
    assert lines[-1] == "memberscan: 0:00 training: done in 0:00"


@pytest.mark.usefixtures("work")
def test_json_lines_have_each_stage_and_warning(command: Command, tmp_path: Path):
    done = command("demo", "--out", tmp_path, "--json", "--progress", "json")
    assert json.loads(done.out) == {}
    found = events(done.err)
    assert [(e["event"], e["stage"], e["done"]) for e in found if e.get("stage")] == STAGES
    assert [e["message"] for e in found if e["event"] == "warning"] == ["site-b is left out\x1b[31m"]
    assert "\x1b" not in done.err
    assert all(str(e["time"]).endswith("+00:00") for e in found)


@pytest.mark.usefixtures("failing")
def test_json_lines_say_which_stage_stopped_and_why(command: Command, tmp_path: Path):
    done = command("demo", "--out", tmp_path, "--progress=json")
    *_, stopped, error = events(done.err)
    assert (stopped["event"], stopped["done"], stopped["total"]) == ("stopped", 1, 4)
    assert (error["event"], error["message"]) == ("error", "no such thing (exit code 2)")
    assert "memberscan: no such thing\n" in done.err


def test_json_lines_come_at_intervals(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(*_: object, **__: object) -> dict[str, object]:
        with progress.progress("training", 4) as advance:
            advance(2)
            time.sleep(0.25)
        time.sleep(0.15)
        return {}

    monkeypatch.setattr(progress, "SECONDS", 0.1)
    monkeypatch.setattr(demo, "run_demo", run)
    found = events(command("demo", "--out", tmp_path, "--progress", "json").err)
    steps = [e for e in found if e["event"] == "step"]
    within = [e for e in steps if e["stage"]]
    assert within and all(e["done"] == 2 and e["seconds_left"] is not None for e in within)
    assert any(e["stage"] is None for e in steps)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--quiet", "--verbose"), "--quiet and --verbose contradict each other"),
        (("--quiet", "--progress", "json"), "--quiet and --progress json contradict each other"),
        (("--progress", "xml"), "--progress 'xml' is unknown; choose auto or json"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    refused, tmp_path: Path, given: tuple[str, ...], says: str
):
    refused("demo", "--out", tmp_path / "demo", *given, code=2, says=says)
    assert not (tmp_path / "demo").exists()


def test_an_error_before_there_is_a_log_is_printed_once():
    # In a process of its own, because pytest's handlers take what logging would print.
    words = [sys.executable, "-m", "memberscan", "--quiet", "--verbose", "doctor"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("contradict")) == (2, 1)


def test_a_common_option_ends_the_values_of_the_option_before_it(command: Command, tmp_path: Path):
    missing = tmp_path / "nowhere.tsv"
    done = command("audit", "--attacks", "error", "--quiet", missing, tmp_path / "audit")
    assert done.code == 2 and "nowhere.tsv" in done.err


def test_the_time_left_is_that_of_the_remaining_steps_at_the_pace_so_far():
    stage = Stage("training", total=10, done=4, before=2, begun=time.monotonic() - 10)
    # Two of the steps took ten seconds, and six are left.
    assert stage.seconds_left == pytest.approx(30, abs=0.5)
    assert Stage("training", total=10, done=2, before=2).seconds_left is None
    assert Stage("training", total=10, done=10, before=2).seconds_left is None
