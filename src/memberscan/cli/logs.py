"""Send a command's progress and warnings to standard error, and to a file if one is named."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from memberscan.files import OWNER_ONLY
from memberscan.progress import SECONDS, clock, reporting
from memberscan.shown import plain

LOG = logging.getLogger("memberscan")
ERRORS = logging.getLogger("memberscan.errors")
"""Logger for errors that end a command. The command prints them itself, so they only go to the file here."""


class StandardError(logging.Handler):
    """Writes warnings at once, and progress only for long work without a terminal that shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; progress is preceded by the time since the beginning."""
        if record.name == ERRORS.name:
            return
        passed = time.monotonic() - self.begun
        if record.levelno >= logging.WARNING:
            _write(sys.stderr, f"memberscan: {record.getMessage()}")
        # Work that is shorter than the first interval reports no progress.
        elif not sys.stderr.isatty() and passed >= SECONDS:
            _write(sys.stderr, f"memberscan: {clock(passed)} {record.getMessage()}")


def _write(stream: TextIO, line: str) -> None:
    stream.write(f"{plain(line)}\n")
    stream.flush()


class LogFile(logging.Handler):
    """Appends every record, with date and time, to a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
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
def logging_to(path: Path | None, command: str) -> Iterator[None]:
    """Write progress and warnings to standard error, and to a file if a path is given, within this context.

    Parameters
    ----------
    path
        File to append to.
    command
        The command that is run; it becomes the first line in the file.
    """
    handlers: list[logging.Handler] = [StandardError()]
    if path is not None:
        handlers.append(LogFile(path))
    level = LOG.level
    LOG.setLevel(logging.INFO)
    for handler in handlers:
        LOG.addHandler(handler)
    LOG.info("%s", plain(command))
    try:
        with reporting():
            yield
    finally:
        LOG.setLevel(level)
        for handler in handlers:
            LOG.removeHandler(handler)
            handler.close()
