"""Send a command's progress and warnings to standard error, and to a file if one is named."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from memberscan.progress import SECONDS, Stage, clock, reporting, without_bars
from memberscan.shown import plain

LOG = logging.getLogger("memberscan")
ERRORS = logging.getLogger("memberscan.errors")
"""Logger for errors that end a command. The command prints them itself, so they only go to the file here."""
NOTES = logging.getLogger("memberscan.notes")
"""Logger for what a command announces, such as how long it will take; shown at once, as warnings are."""


class Shown(Enum):
    """What standard error shows while a command runs, besides the error that ends it."""

    NOTHING = "nothing"
    LONG_WORK = "warnings, a bar in a terminal, and elsewhere the progress of long work"
    EVERYTHING = "warnings and every line of progress"
    JSON = "warnings, errors and every line of progress, each a JSON object"


class StandardError(logging.Handler):
    """Writes warnings at once, and progress only for long work without a terminal that shows it.

    Parameters
    ----------
    everything
        Write all progress, from the beginning and in a terminal too.
    """

    def __init__(self, *, everything: bool = False) -> None:
        super().__init__()
        self.begun = time.monotonic()
        self.everything = everything

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; progress is preceded by the time since the beginning."""
        if record.name == ERRORS.name:
            return
        passed = time.monotonic() - self.begun
        if record.levelno >= logging.WARNING or record.name == NOTES.name:
            _write(sys.stderr, f"memberscan: {record.getMessage()}")
        # Work that is shorter than the first interval reports no progress.
        elif self.everything or (not sys.stderr.isatty() and passed >= SECONDS):
            _write(sys.stderr, f"memberscan: {clock(passed)} {record.getMessage()}")


class JsonLines(logging.Handler):
    """Writes every record to standard error as one line of JSON, for schedulers."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        # ASCII only, so that no character of a name changes what a terminal shows.
        _write(sys.stderr, json.dumps(_facts(record)))


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a line of JSON says about a record; seconds are rounded to milliseconds."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    event = getattr(record, "event", None)
    if event is None:
        return {"time": when, "event": record.levelname.lower(), "message": record.getMessage()}
    stage: Stage | None = getattr(record, "stage", None)
    if stage is None:
        return {"time": when, "event": event, "stage": None}
    left = stage.seconds_left
    return {
        "time": when,
        "event": event,
        "stage": stage.what,
        "done": stage.done,
        "total": stage.total,
        "seconds": round(stage.seconds, 3),
        "seconds_left": None if left is None else round(left, 3),
    }


def _write(stream: TextIO, line: str) -> None:
    stream.write(f"{plain(line)}\n")
    stream.flush()


class LogFile(logging.Handler):
    """Appends every record, with date and time, to a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        # Imported here because files loads numpy and pandas, without which doctor must work.
        from memberscan.files import OWNER_ONLY

        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, OWNER_ONLY)
        self.stream = os.fdopen(descriptor, "a", encoding="utf-8", errors="replace")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
        _write(self.stream, f"{when} {record.levelname} {record.getMessage()}")

    def close(self) -> None:
        """Close the file."""
        self.stream.close()
        super().close()


@contextlib.contextmanager
def logging_to(path: Path | None, command: str, shown: Shown = Shown.LONG_WORK) -> Iterator[None]:
    """Write progress and warnings to standard error, and to a file if a path is given, within this context.

    Parameters
    ----------
    path
        File to append to.
    command
        The command that is run; it becomes the first line in the file.
    shown
        What standard error shows; the file always gets everything.
    """
    with contextlib.ExitStack() as stack:
        for handler in _handlers(path, shown):
            stack.enter_context(_attached(handler))
        if shown is not Shown.LONG_WORK:
            stack.enter_context(without_bars())
        if shown is Shown.NOTHING:
            # Warnings of other libraries, which do not go through the logger.
            stack.enter_context(warnings.catch_warnings(action="ignore"))
        LOG.info("%s", plain(command))
        stack.enter_context(reporting())
        yield


def _handlers(path: Path | None, shown: Shown) -> Iterator[logging.Handler]:
    if path is not None:
        yield LogFile(path)
    if shown is Shown.NOTHING:
        # Without any handler, logging would write warnings to standard error itself.
        yield logging.NullHandler()
    elif shown is Shown.JSON:
        yield JsonLines()
    else:
        yield StandardError(everything=shown is Shown.EVERYTHING)


@contextlib.contextmanager
def _attached(handler: logging.Handler) -> Iterator[None]:
    """Send records of level INFO and above to a handler within this context."""
    level = LOG.level
    LOG.setLevel(logging.INFO)
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()
        LOG.setLevel(level)
