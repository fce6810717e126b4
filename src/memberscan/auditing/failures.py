"""Many tasks of which some may fail, and why they did, in words that a page may show."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from memberscan.cohort import Cohort
from memberscan.errors import (
    BusyError,
    DiskFullError,
    MemberscanError,
    OutputConflictError,
    StaleError,
)
from memberscan.files import append_line
from memberscan.progress import progress
from memberscan.shown import plain
from memberscan.task_pool import Engine, carry_out

T = TypeVar("T")

LONGEST = 300
_SOMEBODY = "(a person)"
NOT_THE_TASKS_FAULT = (BusyError, DiskFullError, OutputConflictError, StaleError, OSError, MemoryError)
"""Errors that end all tasks: the same command goes on once their cause is gone."""


def carry_out_all(
    function: Callable[[T], tuple[str | None, float]],
    tasks: Sequence[T],
    timings: Path,
    about: Callable[[T], dict[str, str | int]],
    *,
    title: str,
    workers: int,
    engine: Engine,
    address: str | None,
) -> list[tuple[T, str]]:
    """Carry out all tasks; return those that failed, in their order, and why.

    Parameters
    ----------
    function
        Carries out one, as :func:`attempt` does.
    tasks
        What to do.
    timings
        A file to which the seconds of each task are added.
    about
        Says which task a line of that file is about.
    title
        Of the progress bar.
    workers, engine, address
        See :func:`memberscan.task_pool.carry_out`.
    """
    failed: dict[int, str] = {}
    with progress(title, len(tasks)) as advance:
        results = carry_out(function, tasks, workers=workers, engine=engine, address=address)
        for task, (reason, seconds) in results:
            if reason is not None:
                failed[id(task)] = reason
            append_line(timings, json.dumps({**about(task), "seconds": round(seconds, 3)}))
            advance(1)
    return [(task, failed[id(task)]) for task in tasks if id(task) in failed]


def attempt(work: Callable[[], None], directory: Path, cohort: Path) -> tuple[str | None, float]:
    """Carry out one of many tasks; return why it failed, or None, and the seconds that it took.

    Parameters
    ----------
    work
        The task. A defence or a network of the user's own may fail in any way, which must not end the others.
    directory, cohort
        Of the task, and the cohort's: see :func:`reason_to_show`.

    Raises
    ------
    Exception
        One of :data:`NOT_THE_TASKS_FAULT`.
    """
    started, reason = time.perf_counter(), None
    try:
        work()
    except NOT_THE_TASKS_FAULT:
        raise
    except Exception as error:  # one failed task must not end the others
        reason = reason_to_show(error, directory, cohort)
    return reason, time.perf_counter() - started


def reason_to_show(error: Exception, directory: Path, cohort: Path) -> str:
    """Return why a task failed, without paths of this machine and ids of people: pages show it.

    Parameters
    ----------
    error
        What the task raised.
    directory
        Of the task, whose place on this machine is left out.
    cohort
        Directory of the cohort, likewise, whose people are not named.
    """
    text = str(error) if isinstance(error, MemberscanError) else f"{type(error).__name__}: {error}"
    for path in (directory, cohort):
        text = text.replace(f"{path}/", "").replace(str(path), path.name)
    opened = Cohort.open(cohort)
    for name in (*opened.subjects, *opened.scans.index):
        text = text.replace(repr(name), _SOMEBODY)
        # Errors of other code may name a scan without quotes. Ids as short as a common word or number stay.
        if name in text and _telling(name):
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", _SOMEBODY, text)
    text = " ".join(plain(text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _telling(name: str) -> bool:
    """Return whether this text can hardly be anything else than an id."""
    mixed = any(c.isalpha() for c in name) and any(c.isdigit() for c in name)
    return len(name) >= (3 if mixed else 4)
