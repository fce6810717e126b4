"""The number of threads for computations, and how threads wait for each other."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator, Sequence

from memberscan.errors import BadInputError

COUNT = "OMP_NUM_THREADS"
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
_WAITING_CHOSEN_BY = (*_WAITING, "GOMP_SPINCOUNT", "KMP_LIBRARY")
_asked: int | None = None
SMALL = 2_000
"""Inputs with fewer values, such as rows of a table, are computed with one thread, which is faster."""


def wait_passively() -> None:
    """Let threads sleep while they wait for each other, unless the user's environment says otherwise.

    By default, the threads of OpenMP, which torch computes with, keep a core busy while they wait for the
    slowest thread. If other processes need the cores, the slowest thread waits for a core itself, and all
    lose time. The first variable is read by GNU's OpenMP, which torch's CPU wheels include; Intel's and
    LLVM's read the second one too. They are read when the library is loaded, so this must run before torch
    is imported. It also applies to processes that are started later.
    """
    if not any(name in os.environ for name in _WAITING_CHOSEN_BY):
        os.environ.update(_WAITING)


def use(count: int) -> None:
    """Compute with this many threads from now on, in this process and in those that it starts.

    Raises
    ------
    BadInputError
        If it is less than 1.
    """
    if count < 1:
        raise BadInputError(f"threads is {count}; at least 1 is needed")
    global _asked
    _asked = count
    os.environ[COUNT] = str(count)
    # Libraries that are already loaded no longer read the environment.
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def available() -> int:
    """Return the number of workers for parallel work: the count given to :func:`use`, or the number of cores.

    Cores that a scheduler such as SLURM does not give to this process are not counted.
    """
    if _asked:
        return _asked
    affinity = getattr(os, "sched_getaffinity", None)
    return (len(affinity(0)) if affinity else os.cpu_count()) or 1


@contextlib.contextmanager
def suited(shape: Sequence[int]) -> Iterator[None]:
    """Compute with one thread in this context, if inputs are small and no number of threads was chosen.

    Parameters
    ----------
    shape
        Shape of one input.
    """
    import torch

    before = torch.get_num_threads()
    # By default, torch uses all cores, or one per physical core.
    by_default = COUNT not in os.environ and before in (available(), available() // 2)
    if not by_default or math.prod(shape) >= SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def one_for_each_process() -> Iterator[None]:
    """Let processes started in this context compute with one thread each; they already share the cores."""
    before = os.environ.get(COUNT)
    os.environ[COUNT] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[COUNT]
        else:
            os.environ[COUNT] = before
