from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memberscan import output_directory, received
from memberscan.errors import BadInputError, BusyError, DiskFullError, OutputConflictError


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


def claim(path: Path, request: dict[str, Any]) -> bool:
    with output_directory.claim(path, request, done="done") as finished:
        return finished


def test_the_first_call_claims_the_same_call_resumes_and_the_finished_one_is_known(tmp_path: Path) -> None:
    out, request = tmp_path / "a" / "out", {"command": "train", "epochs": 3, "shape": [1, 2]}
    assert not claim(out, request)
    assert not claim(out, dict(reversed(request.items())))
    (out / "done").touch()
    assert claim(out, request)
    assert names(out) == ["done", output_directory.REQUEST]
    assert (out / output_directory.REQUEST).stat().st_mode & 0o777 == 0o600


def test_another_configuration_is_refused_and_every_change_is_named(tmp_path: Path) -> None:
    claim(tmp_path / "out", {"epochs": 3, "seed": 0, "old": 1})
    said = "epochs was 3 and is now 4; new was not set and is now 2; old was 1 and is now not set"
    with pytest.raises(OutputConflictError, match=said) as caught:
        claim(tmp_path / "out", {"epochs": 4, "seed": 0, "new": 2})
    assert "seed" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("failure", [BadInputError("no such extra"), KeyboardInterrupt()])
def test_work_that_fails_before_it_wrote_anything_leaves_no_request(
    tmp_path: Path, failure: BaseException
) -> None:
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "there", tmp_path / "new"):
        with pytest.raises(type(failure)), output_directory.claim(out, {"epochs": 3}, done="done"):
            raise failure
        assert not claim(out, {"epochs": 4})
    with pytest.raises(type(failure)), output_directory.claim(tmp_path / "begun", {"epochs": 3}, done="done"):
        (tmp_path / "begun" / "weights").touch()
        raise failure
    assert names(tmp_path / "begun") == [output_directory.REQUEST, "weights"]


def test_a_failed_start_leaves_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="early"), output_directory.claim(tmp_path / "new", {}, done="done"):
        raise ValueError("early")
    assert names(tmp_path) == []


def test_the_thread_count_is_recorded_and_never_refused(tmp_path: Path) -> None:
    claim(tmp_path / "out", {"epochs": 3, "threads": 8})
    assert not claim(tmp_path / "out", {"epochs": 3, "threads": 2})
    assert received.load_json(tmp_path / "out" / output_directory.REQUEST)["threads"] == 8
    assert not claim(tmp_path / "out", {"epochs": 3})


def test_finished_work_may_grow_and_never_shrink(tmp_path: Path) -> None:
    def federate(rounds: int, **others: object) -> bool:
        request = {"rounds": rounds, **others}
        with output_directory.claim(tmp_path / "out", request, done="done", grows="rounds") as finished:
            (tmp_path / "out" / "done").touch()
        return finished

    assert not federate(5)
    assert federate(5)
    assert not federate(10)
    assert federate(10)
    with pytest.raises(OutputConflictError, match="rounds was 10 and is now 5"):
        federate(5)
    with pytest.raises(OutputConflictError, match="seed is different"):
        federate(20, seed=1)
    with pytest.raises(OutputConflictError, match="rounds was 10 and is now 20"):
        claim(tmp_path / "out", {"rounds": 20})


def test_foreign_directories_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    for path in (tmp_path, tmp_path / "thesis.docx"):
        with pytest.raises(OutputConflictError, match="not a memberscan output"):
            claim(path, {})
    assert names(tmp_path) == ["thesis.docx"]


@pytest.mark.parametrize("stored", ["[]", "3", '"train"', "null"])
def test_a_stored_request_of_another_kind_is_refused(tmp_path: Path, stored: str) -> None:
    (tmp_path / output_directory.REQUEST).write_text(stored)
    with pytest.raises(BadInputError, match="JSON object"):
        claim(tmp_path, {"a": 1})


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / f".{output_directory.REQUEST}.0123.partial").write_text('{"comm')
    assert not claim(tmp_path, {"command": "train"})
    assert names(tmp_path) == [output_directory.REQUEST]
    (tmp_path / "signals").mkdir()
    (tmp_path / "signals" / ".x.npy.4567.partial").write_bytes(b"half")
    assert not claim(tmp_path, {"command": "train"})
    assert names(tmp_path / "signals") == []


def test_a_disk_too_full_to_begin_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(DiskFullError):
        claim(tmp_path / "out", {})


# Two processes in one directory


def test_a_directory_at_work_is_busy_and_says_for_whom(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from memberscan import output_directory\n"
        "with output_directory.claim(Path(sys.argv[1]), {'a': 1}, done='done'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {other.pid} on .*wait") as caught:
            claim(tmp_path / "out", {"a": 1})
        assert caught.value.exit_code == 3
        other.kill()
    # The dead hold nothing.
    assert not claim(tmp_path / "out", {"a": 1})
    assert names(tmp_path / "out") == [output_directory.REQUEST]


def test_a_lock_whose_name_was_removed_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, opened = os.open, []

    def open_then_lose(path: Path, *rest: int) -> int:
        descriptor = real(path, *rest)
        opened.append(path)
        if len(opened) == 1:
            Path(path).unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_lose)
    with output_directory.locked(tmp_path):
        assert len(opened) == 2
        assert names(tmp_path) == [output_directory.LOCK]
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_a_lock_that_is_a_pipe_a_folder_or_a_link_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / output_directory.LOCK)
    with pytest.raises(OutputConflictError, match=r"\.lock is not a lock file of memberscan: remove it"):
        claim(tmp_path, {"a": 1})
    assert names(tmp_path) == [output_directory.LOCK]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_still_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def none(*_: object) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr(output_directory.fcntl, "flock", none)
    assert not claim(tmp_path / "out", {})


def test_other_faults_of_locking_pass_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(output_directory.fcntl, "flock", broken)
    with pytest.raises(OSError, match="broken"):
        claim(tmp_path / "out", {})


def test_a_finished_directory_that_cannot_be_written_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(tmp_path / "out", {"a": 1})
    (tmp_path / "out" / "done").touch()

    def read_only(*_: object) -> None:
        raise AssertionError("nothing needs to be written")

    monkeypatch.setattr(output_directory, "locked", read_only)
    assert claim(tmp_path / "out", {"a": 1})


# Directories that others prepared


@pytest.mark.parametrize("name", ["signals", "signals/x.npy", "timings.jsonl"])
def test_an_output_directory_with_links_in_it_is_refused(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    claim(out, {"a": 1})
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).symlink_to(tmp_path)
    with pytest.raises(OutputConflictError, match=r"symbolic link.*choose another"):
        claim(out, {"a": 1})
