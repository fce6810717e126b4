from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from memberscan import threads
from memberscan.errors import BadInputError

SHOW = "import os; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('KMP_BLOCKTIME'))"


pytestmark = pytest.mark.usefixtures("restored_threads")


def shown(before: str = "", **environment: str) -> str:
    """Return what a fresh process prints of its environment after memberscan was imported."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    code = f"{before}import memberscan; {SHOW}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_threads_sleep_while_they_wait_from_the_import_on() -> None:
    assert shown() == "PASSIVE 0"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"),
        ({"GOMP_SPINCOUNT": "1000"}, "None None"),
        ({"KMP_BLOCKTIME": "200"}, "None 200"),
    ],
)
def test_what_the_user_set_about_waiting_is_left(environment: dict[str, str], expected: str) -> None:
    assert shown(**environment) == expected


def test_the_import_loads_nothing_that_computes() -> None:
    code = "import sys, memberscan; print(sorted({'torch', 'numpy', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_count_reaches_torch_its_workers_and_later_processes() -> None:
    threads.use(2)
    assert torch.get_num_threads() == 2
    assert os.environ[threads.COUNT] == "2"
    assert threads.available() == 2
    with pytest.raises(BadInputError, match="threads is 0; at least 1"):
        threads.use(0)


def test_workers_are_as_many_as_the_cores_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7})
    assert threads.available() == 3


@pytest.mark.parametrize(
    ("chosen", "before", "shape", "expected"),
    [
        (False, 4, (68,), 1),
        (False, 2, (68,), 1),
        (False, 4, (30, 36, 30), 4),
        # The user chose: in the environment, or by torch.set_num_threads.
        (True, 4, (68,), 4),
        (False, 3, (68,), 3),
    ],
)
def test_small_inputs_take_one_thread_unless_somebody_chose(
    monkeypatch: pytest.MonkeyPatch, chosen: bool, before: int, shape: tuple[int, ...], expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    if not chosen:
        monkeypatch.delenv(threads.COUNT)
    torch.set_num_threads(before)
    with threads.suited(shape):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("before", [None, "6"])
def test_processes_beside_each_other_take_one_thread_each(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.setenv(threads.COUNT, "6")
    if before is None:
        monkeypatch.delenv(threads.COUNT)
    with threads.one_for_each_process():
        assert os.environ[threads.COUNT] == "1"
    assert os.environ.get(threads.COUNT) == before
