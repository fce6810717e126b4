"""Progress of long work: a bar in a terminal, and log lines otherwise.

Lines go to the logger ``memberscan.progress`` at level INFO. They are written when a stage begins and ends,
and within :func:`reporting` also at regular intervals, however long a step takes. Each record has two more
attributes, for handlers that do not write text: ``event`` (one of :data:`Event`) and ``stage``
(a :class:`Stage`, or None between stages).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG = logging.getLogger("memberscan.progress")
SECONDS = 30.0
"""Time between the lines of :func:`reporting`."""
Event = Literal["begin", "step", "end", "stopped"]
"""What a line of progress reports of its stage; "stopped" is a stage that an error or Ctrl-C ended."""


@dataclass
class Stage:
    """A stage of the work in progress."""

    what: str
    total: int
    done: int
    before: int
    begun: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time since the stage began."""
        return time.monotonic() - self.begun

    @property
    def seconds_left(self) -> float | None:
        """Time that the remaining steps take at the pace so far; None before the first and after the last."""
        steps = self.done - self.before
        if not steps or self.done >= self.total:
            return None
        return self.seconds / steps * (self.total - self.done)

    def __str__(self) -> str:
        said = f"{self.what}: {self.done} of {self.total}"
        left = self.seconds_left
        return said if left is None else f"{said}, about {clock(left)} left"


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
    LOG.info("%s", stage, extra=_about("begin", stage))
    try:
        with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
            task = bar.add_task(what, total=total, completed=done)

            def advance(steps: int) -> None:
                stage.done += steps
                bar.advance(task, steps)

            yield advance
        LOG.info("%s: done in %s", what, clock(stage.seconds), extra=_about("end", stage))
    except BaseException:
        LOG.info("%s: stopped after %s", what, clock(stage.seconds), extra=_about("stopped", stage))
        raise
    finally:
        _stages.remove(stage)


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Log the stage in progress at regular intervals, until the end of this context."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(SECONDS):
            stage = _stages[-1] if _stages else None
            LOG.info("%s", stage or "at work", extra=_about("step", stage))

    reporter = threading.Thread(target=report, name="memberscan-progress", daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def _about(event: Event, stage: Stage | None) -> dict[str, Any]:
    """Return the attributes that a record of progress has beside its text."""
    return {"event": event, "stage": stage}


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, or as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
