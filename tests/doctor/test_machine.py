"""Memory, places and cards are found, and a driver that does not answer stops nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from memberscan.doctor import cuda, machine
from memberscan.doctor.cuda import Card, find_cuda
from memberscan.doctor.machine import find_memory, find_places, find_threads


def test_memory_is_in_bytes_and_the_limit_of_a_container_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "meminfo").write_text("MemTotal:  2048 kB\nMemAvailable:  1024 kB\nHugePages_Total:  0\n")
    (tmp_path / "unlimited").write_text("9223372036854771712\n")
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "limited").write_text("1048576\n")
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    for names, limit in ((("unlimited", "max", "absent"), None), (("max", "limited"), 1 << 20)):
        monkeypatch.setattr(machine, "_LIMITS", tuple(tmp_path / name for name in names))
        found = find_memory()
        assert (found.total_bytes, found.available_bytes, found.limit_bytes) == (2 << 20, 1 << 20, limit)


def test_memory_that_cannot_be_told_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "absent")
    monkeypatch.setattr(machine, "_LIMITS", ())
    assert set(vars(find_memory()).values()) == {None}


def test_threads_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = find_threads()
    assert 1 <= found.usable <= found.cores and found.count == "3"


def test_places_are_tried_and_left_as_they_were(tmp_path: Path):
    results, temporary, home = find_places(tmp_path)
    assert results.path == str(tmp_path) and results.writable and (results.free_bytes or 0) > 0
    assert list(tmp_path.iterdir()) == []
    assert temporary.needed and not home.needed


def test_a_place_that_cannot_be_written_is_found(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    assert not find_places(file)[0].writable
    absent = find_places(tmp_path / "absent")[0]
    assert not absent.writable and absent.free_bytes is None
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert not find_places(tmp_path)[0].writable
        tmp_path.chmod(0o700)


# Cards


def test_without_a_driver_no_process_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(cuda, "DEVICE_FILES", (tmp_path / "absent",))
    monkeypatch.setattr(cuda, "_ask", pytest.fail)
    assert find_cuda().reason == "this machine has no driver of a card"


def test_a_build_of_torch_for_the_cpu_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(cuda, "DEVICE_FILES", (tmp_path,))
    monkeypatch.setattr(cuda.metadata, "version", lambda _: "2.7.0+cpu")
    monkeypatch.setattr(cuda, "_ask", pytest.fail)
    assert "build for the CPU only" in find_cuda().reason


def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> cuda.Cuda:
    monkeypatch.setattr(cuda, "DEVICE_FILES", (tmp_path,))
    monkeypatch.setattr(cuda.metadata, "version", lambda _: "2.7.0")
    monkeypatch.setattr(cuda, "_ASK_TORCH", program)
    return find_cuda()


def test_cards_are_read_from_what_torch_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program = """print('a line of a library\\n[{"name": "A100", "memory_bytes": 42}]')"""
    assert asked(monkeypatch, tmp_path, program) == cuda.Cuda((Card("A100", 42),), "")
    assert "no card that it can use" in asked(monkeypatch, tmp_path, "print('[]')").reason
    assert asked(monkeypatch, tmp_path, "1 / 0").reason == "torch failed: ZeroDivisionError: division by zero"


def test_a_driver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(cuda, "PATIENCE", 0.3)
    begun = time.monotonic()
    found = asked(
        monkeypatch, tmp_path, "import signal; signal.signal(15, print); import time; time.sleep(60)"
    )
    assert time.monotonic() - begun < 10
    assert "did not answer within 0.3 s" in found.reason
