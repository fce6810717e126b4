"""What every command can be told, and how all of them end: threads, log files, errors and exit codes."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path

import pytest
import torch

import memberscan
from memberscan import progress
from memberscan.cli import logs
from memberscan.cli.root import common_first
from memberscan.errors import BadInputError
from memberscan.studies import demo

from .conftest import Command, people


def test_the_version_is_printed_and_nothing_runs(command: Command):
    assert command("--version").out == f"memberscan {memberscan.__version__}\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["audit", "a", "--threads", "2", "b"], ["--threads", "2", "audit", "a", "b"]),
        (["audit", "--log-file=x", "a"], ["--log-file=x", "audit", "a"]),
        (["audit", "a", "--threads"], ["--threads", "audit", "a"]),
        (["audit", "a", "--json"], ["audit", "a", "--json"]),
    ],
)
def test_common_options_may_stand_anywhere(given: list[str], expected: list[str]):
    assert common_first(given) == expected


@pytest.mark.parametrize("place", [0, 1, 4])
@pytest.mark.usefixtures("restored_threads")
def test_threads_are_set_before_the_command_runs(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
):
    seen = []
    monkeypatch.setattr(demo, "run_demo", lambda *_, **__: seen.append(torch.get_num_threads()) or {})
    arguments = ["demo", "--out", tmp_path, "--json"]
    arguments[place:place] = ["--threads", 2]
    assert command(*arguments).code == 0
    assert seen == [2]


@pytest.mark.parametrize("count", ["0", "-3", "two"])
def test_a_number_of_threads_that_cannot_be_is_refused(command: Command, tmp_path: Path, count: str):
    done = command("demo", "--out", tmp_path / "demo", f"--threads={count}")
    assert done.code == 2 and "threads" in done.err
    assert not (tmp_path / "demo").exists()


# Where nobody watches


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a demonstration take long, and an interval be short."""

    def run(*_: object, **__: object) -> dict[str, object]:
        with progress.progress("training", 4) as advance:
            advance(1)
            time.sleep(0.5)
        with progress.progress("reading signals", 2):
            pass
        time.sleep(0.5)
        return {}

    for module in (progress, logs):
        monkeypatch.setattr(module, "SECONDS", 0.2)
    monkeypatch.setattr(demo, "run_demo", run)


@pytest.mark.usefixtures("slow")
def test_long_work_says_on_standard_error_where_it_is(command: Command, tmp_path: Path):
    done = command("demo", "--out", tmp_path, "--json")
    assert json.loads(done.out) == {}
    assert re.search(r"^memberscan: 0:0\d training: 1 of 4, about 0:0\d left$", done.err, re.MULTILINE)
    assert re.search(r"^memberscan: 0:0\d training: done in 0:0\d$", done.err, re.MULTILINE)
    assert re.search(r"^memberscan: 0:0\d reading signals: 0 of 2$", done.err, re.MULTILINE)
    assert re.search(r"^memberscan: 0:01 at work$", done.err, re.MULTILINE)


def test_short_work_is_silent(command: Command, predictions: Path, tmp_path: Path):
    assert command("audit", predictions, tmp_path / "audit", "--attacks", "error").err == ""


@pytest.mark.usefixtures("slow")
def test_a_log_file_has_every_stage_and_only_its_owner_reads_it(command: Command, tmp_path: Path):
    log = tmp_path / "new" / "log.txt"
    for _ in range(2):
        assert command("demo", "--out", tmp_path, "--log-file", log).code == 0
    assert log.stat().st_mode & 0o777 == 0o600
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d INFO ", line) for line in lines)
    assert len([line for line in lines if line.endswith(" training: 0 of 4")]) == 2
    assert f"INFO memberscan {memberscan.__version__}: demo --out {tmp_path} --log-file {log}" in lines[0]
    assert not logging.getLogger("memberscan").handlers


def test_warnings_and_errors_are_in_the_log_file_and_once_on_standard_error(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_: object, **__: object) -> None:
        logging.getLogger("memberscan.federation").warning("site-b is left out\x1b[31m")
        raise BadInputError("no such thing")

    monkeypatch.setattr(demo, "run_demo", fails)
    monkeypatch.setattr(logs, "SECONDS", 0.0)
    done = command("demo", "--out", tmp_path, "--log-file", tmp_path / "log")
    assert done.code == 2
    assert done.err.count("no such thing") == 1
    assert "memberscan: site-b is left out\N{REPLACEMENT CHARACTER}[31m\n" in done.err
    logged = (tmp_path / "log").read_text()
    assert "WARNING site-b is left out" in logged
    assert "ERROR no such thing (exit code 2)" in logged


def test_a_log_file_that_cannot_be_written_is_an_error(refused, tmp_path: Path):
    refused("demo", "--out", tmp_path / "demo", "--log-file", tmp_path, code=2, says="check the path")


# Errors for programs


def test_with_json_an_error_is_one_document_on_standard_output_and_words_on_the_other(
    command: Command, predictions: Path, tmp_path: Path
):
    command("audit", predictions, tmp_path / "audit", "--attacks", "error")
    done = command(
        "audit", predictions, tmp_path / "audit", "--attacks", "error", "--leaked", "0.3", "--json"
    )
    assert done.code == 3
    error = json.loads(done.out)["error"]
    assert (error["type"], error["exit_code"]) == ("OutputConflictError", 3)
    assert "threat leaked was 0.5 and is now 0.3" in error["message"]
    assert error["message"] in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("audit", "--frob", "--json"), "UsageError"),
        (("audit", "{}/nowhere.tsv", "{}/audit", "--json"), "BadInputError"),
        (("demo", "--out", "{}/file/demo", "--json"), "NotADirectoryError"),
    ],
)
def test_every_kind_of_error_is_json(command: Command, tmp_path: Path, arguments: tuple[str, ...], kind: str):
    (tmp_path / "file").touch()
    done = command(*(argument.format(tmp_path) for argument in arguments))
    error = json.loads(done.out)["error"]
    assert (done.code, error["type"], error["exit_code"]) == (2, kind, 2)
    assert done.err


# Verdicts for pipelines


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """Predictions that fit members far better."""
    people(80, ratio=6.0).to_csv(tmp_path / "leaking.tsv", sep="\t", index=False)
    return tmp_path / "leaking.tsv"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("leaks", 4),
        ("confounded,leaks", 4),
        ("no-leak-shown, inconclusive", 0),
        (None, 0),
    ],
)
def test_the_exit_code_says_whether_the_verdict_is_one_to_fail_on(
    command: Command, leaking: Path, tmp_path: Path, asked: str | None, code: int
):
    option = () if asked is None else ("--fail-on", asked)
    done = command("audit", leaking, tmp_path / "audit", "--attacks", "error", *option, "--json")
    assert done.code == code
    assert json.loads(done.out)["verdict"]["label"] == "leaks"
    assert ("the verdict is leaks (--fail-on)" in done.err) == bool(code)
    # The report of the finished audit says the same, alone and joined with others.
    assert command("report", tmp_path / "audit", *option).code == code
    merged = ("report", "--merge", tmp_path / "audit", "--out", tmp_path / "joined")
    assert command(*merged, *option).code == code


def test_a_verdict_to_fail_on_that_is_none_ends_before_the_audit(refused, leaking: Path, tmp_path: Path):
    arguments = ("audit", leaking, tmp_path / "audit", "--fail-on", "leak")
    refused(*arguments, code=2, says="'leak' is not a verdict; choose from leaks, no-leak-shown,")
    assert not (tmp_path / "audit").exists()


def test_a_broken_guarantee_can_fail_and_one_that_was_not_tested_is_named(
    command: Command, leaking: Path, tmp_path: Path
):
    audit, asked = tmp_path / "audit", ("--fail-on", "broken-guarantee")
    done = command("audit", leaking, audit, "--attacks", "error", *asked)
    assert done.code == 0 and "broken-guarantee was not tested" in done.err
    content = json.loads((audit / "audit.json").read_text())
    bound = {"scores": "weights", "method": "one run", "epsilon": 2.0, "ceiling": 3.0, "broken": True}
    canaries = {"inside": 30, "outside": 30, "level": 0.95, "delta": 1e-5, "broken": True}
    content["canaries"] = canaries | {"bounds": [bound | {"guesses": 20, "correct": 19}]}
    (audit / "audit.json").write_text(json.dumps(content))
    done = command("report", audit, *asked)
    assert done.code == 4 and "canaries contradict the stated epsilon (--fail-on)" in done.err
    assert command("report", "--merge", audit, "--out", tmp_path / "joined", *asked).code == 4
    assert command("report", audit, "--fail-on", "confounded").code == 0
