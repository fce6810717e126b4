"""Work of the studies on several cores; results do not depend on their number."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Task], Result], tasks: Sequence[Task], processes: int, *, at_once: int = 1
) -> Iterator[Result]:
    """Yield what each task gives, in their order.

    Parameters
    ----------
    work
        A function of a module, since it is sent to other processes by name.
    tasks
        Each has random numbers of its own.
    processes
        1 for this process only.
    at_once
        Tasks that a process gets at a time: more if each is short.
    """
    if processes == 1:
        yield from map(work, tasks)
        return
    # New processes, not forks: a fork of a process with threads can stop for ever.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, tasks, chunksize=at_once)
