"""Why one of many tasks failed, in words that a page may show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memberscan.cohort import Cohort
from memberscan.errors import (
    BusyError,
    DiskFullError,
    MemberscanError,
    OutputConflictError,
    StaleError,
)
from memberscan.shown import plain

LONGEST = 300
NOT_THE_TASKS_FAULT = (BusyError, DiskFullError, OutputConflictError, StaleError, OSError, MemoryError)
"""Errors that end all tasks: the same command goes on once their cause is gone."""


def reason_to_show(error: Exception, paths: Sequence[Path], cohort: Path) -> str:
    """Return why a task failed, without paths of this machine and ids of people: pages show it.

    Parameters
    ----------
    error
        What the task raised.
    paths
        Directories whose place on this machine is left out.
    cohort
        Directory of the cohort, likewise, whose people are not named.
    """
    text = str(error) if isinstance(error, MemberscanError) else f"{type(error).__name__}: {error}"
    for path in (*paths, cohort):
        text = text.replace(f"{path}/", "").replace(str(path), path.name)
    opened = Cohort.open(cohort)
    for name in (*opened.subjects, *opened.scans.index):
        text = text.replace(repr(name), "(a person)")
    text = " ".join(plain(text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
