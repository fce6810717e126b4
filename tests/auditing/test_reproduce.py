"""The same command gives the same bytes: twice, after a kill at any moment, and whatever the thread count."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from memberscan import Access, AuditResult, ThreatModel, audit
from memberscan.attacks import null
from memberscan.auditing import result, stages, weighing
from memberscan.errors import BadInputError, DiskFullError
from memberscan.runs import Run

from ..children import start
from .conftest import MakePredictions

THREAT = ThreatModel(Access.WEIGHTS, repeats=1)
ATTACKS = ("error", "gradient:conv1", "gradient-magnitude")
FILES = ("audit.json", "scores.tsv", "audit.html")


class Killed(BaseException):
    """What no handler of ours may swallow."""


def read(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def whole(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an audit that nobody interrupted writes."""
    directory = tmp_path_factory.mktemp("whole") / "audit"
    audit(run.path, directory, threat=THREAT, attacks=ATTACKS)
    return read(directory)


def test_the_same_seed_gives_the_same_bytes_elsewhere(run: Run, whole: dict[str, bytes], tmp_path: Path):
    audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert read(tmp_path / "audit") == whole


def test_another_seed_gives_other_scores_of_the_same_people(predictions: MakePredictions):
    path = predictions()
    one, other = (audit(path, attacks=["error", "error:zero-knowledge"], seed=seed).scores for seed in (0, 1))
    column = "error:zero-knowledge"
    np.testing.assert_array_equal(np.sort(one[column]), np.sort(other[column]))
    assert not one["error"].equals(other["error"])


def test_a_finished_audit_is_not_touched(predictions: MakePredictions, tmp_path: Path):
    path = predictions()
    first = audit(path, tmp_path / "audit", attacks=["error"], pseudonyms=True)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "audit").iterdir()}
    again = audit(path, tmp_path / "audit", attacks=["error"], pseudonyms=True)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "audit").iterdir()} == before
    assert dict(again.content) == dict(first.content)


STAGES: list[tuple[Any, str]] = [
    (stages, "see"),
    (stages, "attempt"),
    (null, "refitted_null_aucs"),
    (weighing, "blind_check"),
    (weighing, "judge"),
    (stages, "scores_table"),
    (stages.AuditResult, "save"),
    (stages.AuditResult, "render"),
    (result, "write_json"),
]


@pytest.mark.parametrize(("where", "stage"), STAGES, ids=[stage for _, stage in STAGES])
def test_an_audit_killed_in_any_stage_ends_in_the_same_bytes(
    where: Any, stage: str, run: Run, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, stage, die)
        with pytest.raises(Killed):
            audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert not (tmp_path / "audit" / "audit.json").exists()
    audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert read(tmp_path / "audit") == whole


def test_a_full_disk_loses_nothing(
    run: Run, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from memberscan import files, output_directory

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    def request_only(directory: Path) -> Callable[[], list[str]]:
        return lambda: [p.name for p in directory.iterdir() if not p.name.startswith(".")]

    left = request_only(tmp_path / "audit")
    with monkeypatch.context() as patch:
        kept = files.write_json

        def then_full(path: Path, *arguments: Any, **options: Any) -> None:
            kept(path, *arguments, **options)
            if path.name == "request.json":
                patch.setattr(files.os, "fsync", full)

        patch.setattr(output_directory, "write_json", then_full)
        with pytest.raises(DiskFullError, match="run the same command again"):
            audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert "audit.json" not in left()
    audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert read(tmp_path / "audit") == whole


COMMAND = "import sys; sys.argv = words; from memberscan.cli import main; main()"


@pytest.mark.usefixtures("drawn")
def test_an_audit_killed_by_the_system_ends_in_the_same_bytes(
    run: Run, whole: dict[str, bytes], tmp_path: Path
):
    options = ["--access", "weights", "--repeats", "1", "--attacks", *ATTACKS]
    child = start(COMMAND, words=["memberscan", "audit", str(run.path), str(tmp_path / "one"), *options])
    started = time.monotonic()
    child.join()
    one = read(tmp_path / "one")
    # Its page has figures, of which only the words are in the other one.
    assert child.exitcode == 0 and one == whole | {"audit.html": one["audit.html"]}
    duration, killed = time.monotonic() - started, 0
    for share in (0.2, 0.4, 0.7):
        child = start(
            COMMAND, words=["memberscan", "audit", str(run.path), str(tmp_path / "audit"), *options]
        )
        time.sleep(duration * share)
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
    assert killed, "all were faster than the kill, so the test shows nothing"
    audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert read(tmp_path / "audit") == one


@pytest.fixture
def two_threads() -> Iterator[Callable[[], None]]:
    """Return a function that has torch compute with two threads from then on."""
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(1)


def test_a_finished_audit_is_returned_under_another_thread_count(
    run: Run, whole: dict[str, bytes], tmp_path: Path, two_threads: Callable[[], None]
):
    audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    two_threads()
    again = audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert read(tmp_path / "audit") == whole
    assert again.content["provenance"]["threads"] == 1


def test_a_killed_audit_goes_on_under_another_thread_count(
    run: Run,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    two_threads: Callable[[], None],
):
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(stages, "attempt", die)
        audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    two_threads()
    result = audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    assert result.content["provenance"]["threads"] == 2
    # All rows were there already, so that only the count differs.
    finished = read(tmp_path / "audit")
    assert finished["scores.tsv"] == whole["scores.tsv"]


def test_an_audit_computes_on_the_device_that_it_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(BadInputError, match="choose cpu"):
        audit(run.path, tmp_path / "audit", device="cuda", threat=THREAT, attacks=ATTACKS)
    assert not (tmp_path / "audit").exists()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    audit(run.path, tmp_path / "audit", device="cpu", threat=THREAT, attacks=["error"])
    ledger = json.loads((tmp_path / "audit" / "signals" / "signals.json").read_text())
    assert ledger["request"]["device"] == "cpu"


@pytest.mark.usefixtures("cuda")
def test_on_cuda_an_audit_gives_the_same_bytes_twice_and_what_the_processor_gives(run: Run, tmp_path: Path):
    for name, device in (("cuda", "cuda"), ("again", "auto"), ("cpu", "cpu")):
        audit(run.path, tmp_path / name, device=device, threat=THREAT, attacks=ATTACKS)
    assert read(tmp_path / "again") == read(tmp_path / "cuda")
    computed = {
        name: json.loads((tmp_path / name / "signals" / "signals.json").read_text())
        for name in ("cuda", "cpu")
    }
    assert [computed[name]["request"]["device"] for name in computed] == ["cuda", "cpu"]
    assert computed["cuda"]["computed"][0]["batch"] > computed["cpu"]["computed"][0]["batch"] == 8
    for kind in ("prediction", "gradient%3Aconv1"):
        rows = [np.load(tmp_path / name / "signals" / f"{kind}.npy") for name in computed]
        np.testing.assert_allclose(*rows, rtol=1e-3, atol=1e-3)


def test_the_thread_count_does_not_change_an_audit_of_predictions(
    predictions: MakePredictions, tmp_path: Path
):
    path = predictions(subjects=200)
    for threads in (1, 2):
        with threadpool_limits(threads):
            audit(path, tmp_path / str(threads), threat=ThreatModel(repeats=1))
    # Each audit of a file has a salt of its own, and so another digest of the file.
    digests = [AuditResult.load(tmp_path / n).content["provenance"]["predictions"].encode() for n in "12"]
    one, two = (read(tmp_path / n) for n in "12")
    assert {k: v.replace(digests[0], digests[1]) for k, v in one.items()} == two


def test_a_loaded_result_renders_the_same_page(run: Run, whole: dict[str, bytes], tmp_path: Path):
    audit(run.path, tmp_path / "audit", threat=THREAT, attacks=ATTACKS)
    AuditResult.load(tmp_path / "audit").render(tmp_path / "audit")
    assert read(tmp_path / "audit") == whole
