"""An audit that keeps nothing leaves nothing, however it ends."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from multiprocessing import Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from memberscan.auditing import scratch as scratches
from memberscan.auditing.scratch import PREFIX, scratch

from .. import children

CHILD = """
import tempfile, time
tempfile.tempdir = place
from memberscan.auditing.scratch import scratch
with scratch() as folder:
    (folder / "signals").mkdir()
    answer.send(folder)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # It keeps a folder among the temporary files of its own.
    children.context()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def start(place: Path) -> tuple[BaseProcess, Path]:
    question, answer = Pipe()
    child = children.start(CHILD, place=str(place), answer=answer)
    answer.close()
    return child, question.recv()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_audit_removes_its_folder(error: type[BaseException], place: Path):
    with pytest.raises(error), scratch() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        raise error
    assert list(place.iterdir()) == []


def test_a_terminated_audit_removes_its_folder(place: Path):
    child, folder = start(place)
    assert folder.is_dir()
    child.terminate()
    child.join(20)
    assert child.exitcode == 128 + signal.SIGTERM
    assert list(place.iterdir()) == []


def test_the_next_audit_removes_what_a_killed_one_left(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scratches, "_SETTLED_SECONDS", -1)
    (killed, left), (alive, used) = start(place), start(place)
    killed.kill()
    killed.join(20)
    assert left.is_dir()
    mine = place / f"{PREFIX}file"
    mine.write_text("somebody's own")
    (place / f"{PREFIX}link").symlink_to(tmp := place / "elsewhere")
    tmp.mkdir()
    with scratch():
        assert not left.exists() and used.is_dir() and mine.exists() and tmp.is_dir()
    alive.terminate()
    alive.join(20)


def test_a_folder_that_is_about_to_be_locked_is_left_alone(place: Path):
    young = place / f"{PREFIX}young"
    young.mkdir()
    with scratch():
        assert young.is_dir()
    old = time.time() - 3600
    os.utime(young, (old, old))
    with scratch():
        assert not young.exists()


def test_a_program_that_handles_termination_keeps_its_way():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with scratch():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
