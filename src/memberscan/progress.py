"""Progress of long work: a bar in a terminal, and log lines otherwise.

Lines go to the logger ``memberscan.progress`` at level INFO. They are written when a stage begins and ends,
and within :func:`reporting` also at regular intervals, however long a step takes.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG = logging.getLogger("memberscan.progress")
SECONDS = 30.0
"""Time between the lines of :func:`reporting`."""


@dataclass
class Stage:
    """A stage of the work in progress."""

    what: str
    total: int
    done: int
    before: int
    begun: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        said = f"{self.what}: {self.done} of {self.total}"
        steps, seconds = self.done - self.before, time.monotonic() - self.begun
        if not steps or self.done >= self.total:
            return said
        return f"{said}, about {clock(seconds / steps * (self.total - self.done))} left"


_stages: list[Stage] = []
"""The stages in progress; each is nested in those before it."""


_bars = True


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Draw no bar in this context, as in one of several processes that share a terminal; lines are logged."""
    global _bars
    before, _bars = _bars, False
    try:
        yield
    finally:
        _bars = before


@contextlib.contextmanager
def progress(what: str, total: int, *, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show progress over ``total`` steps, ``done`` of them finished; yield a function that advances it."""
    stage = Stage(what, total, done, done)
    console = Console(stderr=True)
    hidden = not (_bars and console.is_terminal)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    _stages.append(stage)
    LOG.info("%s", stage)
    try:
        with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
            task = bar.add_task(what, total=total, completed=done)

            def advance(steps: int) -> None:
                stage.done += steps
                bar.advance(task, steps)

            yield advance
        LOG.info("%s: done in %s", what, clock(time.monotonic() - stage.begun))
    finally:
        _stages.remove(stage)


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Log the stage in progress at regular intervals, until the end of this context."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(SECONDS):
            LOG.info("%s", _stages[-1] if _stages else "at work")

    reporter = threading.Thread(target=report, name="memberscan-progress", daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, or as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
