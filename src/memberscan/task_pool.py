"""Carry out independent tasks: in local processes, or on a Ray cluster."""

from __future__ import annotations

import functools
import importlib.util
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, Literal, TypeVar, get_args

from memberscan.errors import BadInputError, MissingExtraError
from memberscan.progress import without_bars
from memberscan.threads import one_for_each_process

Engine = Literal["local", "ray"]
T = TypeVar("T")
R = TypeVar("R")


def carry_out(
    function: Callable[[T], R],
    tasks: Sequence[T],
    *,
    workers: int,
    engine: Engine = "local",
    address: str | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[T, R]]:
    """Carry out tasks in parallel, and yield each with its result as soon as it is done.

    Every task computes with one thread, so that its result does not depend on how many run at a time. The
    tasks of a task are carried out in its own process, one after the other.

    Parameters
    ----------
    function
        A function of a module, applied to each task; both are sent to other processes.
    tasks
        What to do, in the order in which they are begun.
    workers
        Number of tasks at a time.
    engine, address
        "local" for processes on this machine; "ray" for a Ray cluster at this address, or one that Ray starts
        here. The workers of a cluster must see the same files.
    go_on
        Asked before each task is begun; once it says no, the tasks in progress are the last ones.

    Raises
    ------
    BadInputError
        If there is no worker, or the engine is unknown.
    MissingExtraError
        If Ray is asked for and not installed.
    """
    if workers < 1:
        raise BadInputError(f"workers is {workers}; give at least 1")
    if engine not in get_args(Engine):
        raise BadInputError(f"engine {engine!r} is unknown; choose {' or '.join(get_args(Engine))}")
    if engine != "ray" and address is not None:
        raise BadInputError("an address is for --engine ray; leave it out")
    if _within_a_task:
        for task in tasks:
            if not go_on():
                return
            yield task, function(task)
        return
    if engine == "ray":
        yield from _on_ray(function, tasks, workers, address, go_on)
    else:
        yield from _in_processes(function, tasks, workers, go_on)


_within_a_task = False


def within_a_task(function: Callable[[T], R], task: T) -> R:
    """Carry out one task of many: without bars of its own, and with all of its own tasks in this process."""
    global _within_a_task
    before, _within_a_task = _within_a_task, True
    try:
        with without_bars():
            return function(task)
    finally:
        _within_a_task = before


def in_order(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """Carry out tasks as :func:`carry_out` does, and yield their results in the order of the tasks.

    With one worker they are carried out in this process.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    numbered, ready, place = functools.partial(_second, function), {}, 0
    for (number, _), result in carry_out(numbered, list(enumerate(tasks)), workers=workers):
        ready[number] = result
        while place in ready:
            yield ready.pop(place)
            place += 1


def _second(function: Callable[[T], R], numbered: tuple[int, T]) -> R:
    return function(numbered[1])


def _in_processes(
    function: Callable[[T], R], tasks: Sequence[T], workers: int, go_on: Callable[[], bool]
) -> Iterator[tuple[T, R]]:
    # "spawn", because a fork of a process with threads, as torch has, may hang.
    context = multiprocessing.get_context("spawn")
    left = list(tasks)
    running: dict[Future[R], T] = {}
    with (
        one_for_each_process(),
        ProcessPoolExecutor(min(workers, max(len(left), 1)), context, initializer=_end_with_parent) as pool,
    ):
        try:
            while left or running:
                while left and len(running) < workers and go_on():
                    task = left.pop(0)
                    running[pool.submit(within_a_task, function, task)] = task
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException:
            _terminate(pool)
            raise


def _terminate(pool: ProcessPoolExecutor) -> None:
    """Stop the processes at once: their unfinished tasks would be thrown away."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """Let this worker end when its parent is killed: a pool's workers otherwise wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="memberscan-parent", daemon=True).start()


def _on_ray(
    function: Callable[[T], R],
    tasks: Sequence[T],
    workers: int,
    address: str | None,
    go_on: Callable[[], bool],
) -> Iterator[tuple[T, R]]:
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("--engine ray needs Ray; install memberscan[simulation]")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray: Any = importlib.import_module("ray")
    own = not ray.is_initialized()
    if own:
        local = {} if address else {"num_cpus": workers, "include_dashboard": False}
        one_thread = {"env_vars": {"OMP_NUM_THREADS": "1"}}
        ray.init(address=address, log_to_driver=False, runtime_env=one_thread, **local)
    try:
        remote = ray.remote(num_cpus=1)(within_a_task)
        left = list(tasks)
        running: dict[Any, T] = {}
        while left or running:
            while left and len(running) < workers and go_on():
                task = left.pop(0)
                running[remote.remote(function, task)] = task
            if not running:
                return
            for finished in ray.wait(list(running), num_returns=1)[0]:
                yield running.pop(finished), ray.get(finished)
    finally:
        if own:
            ray.shutdown()
