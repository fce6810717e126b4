"""Tasks in processes and on Ray: every result once, errors pass through, nothing is begun after the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memberscan.errors import BadInputError, MissingExtraError
from memberscan.task_pool import carry_out, in_order


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes import this module, whose functions are sent to them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))


def square(value: int) -> int:
    return value * value


def fails(value: int) -> int:
    raise BadInputError(f"task {value} is bad")


def threads_of(_: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("workers", [1, 2])
def test_gives_every_result_once(workers: int) -> None:
    assert sorted(carry_out(square, [1, 2, 3], workers=workers)) == [(1, 1), (2, 4), (3, 9)]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_can_be_had_in_order(workers: int) -> None:
    assert list(in_order(square, range(9), workers)) == [k * k for k in range(9)]


@pytest.mark.deployment
def test_ray_gives_the_same_results() -> None:
    pytest.importorskip("ray")
    assert sorted(carry_out(square, [1, 2, 3], workers=2, engine="ray")) == [(1, 1), (2, 4), (3, 9)]


def test_each_task_computes_with_one_thread() -> None:
    assert list(carry_out(threads_of, [0], workers=1)) == [(0, "1")]


def processes_of_tasks_within(_: int) -> list[tuple[int, bool]]:
    inner = carry_out(process_of, [0, 1], workers=2)
    return [(pid, pid == os.getpid()) for _, pid in inner]


def process_of(_: int) -> int:
    return os.getpid()


def test_the_tasks_of_a_task_are_carried_out_in_its_own_process() -> None:
    ((_, found),) = carry_out(processes_of_tasks_within, [0], workers=1)
    assert len(found) == 2 and all(own for _, own in found)
    assert found[0][0] != os.getpid()


def test_an_error_of_a_task_passes_through() -> None:
    with pytest.raises(BadInputError, match="task 7 is bad"):
        list(carry_out(fails, [7, 8], workers=1))


def test_nothing_is_begun_once_it_must_not_go_on() -> None:
    answers = iter([True, False, False])
    assert list(carry_out(square, [2, 3, 4], workers=1, go_on=lambda: next(answers))) == [(2, 4)]


def test_refuses_impossible_options(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="at least 1"):
        list(carry_out(square, [1], workers=0))
    with pytest.raises(BadInputError, match="--engine ray"):
        list(carry_out(square, [1], workers=1, address="auto"))
    with pytest.raises(BadInputError, match="local or ray"):
        list(carry_out(square, [1], workers=1, engine="slurm"))  # type: ignore[arg-type]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="simulation"):
        list(carry_out(square, [1], workers=1, engine="ray"))


KILLED = """
import sys, time
from pathlib import Path
from memberscan.task_pool import carry_out, in_order

def wait(path):
    import os
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(carry_out(wait, sys.argv[1:], workers=1))
"""


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    seen = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, str(tmp_path / "killed.py"), str(seen)])
    try:
        deadline = time.monotonic() + 60
        while not (seen.exists() and seen.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        worker = int(seen.read_text())
    finally:
        parent.kill()
        parent.wait()
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(worker)


def _alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"
