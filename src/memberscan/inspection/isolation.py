"""Read files in another process with limits of memory and time, so that no file stops the inspection."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from memberscan.inspection.cohort_index import CohortIndex

Result = TypeVar("Result", covariant=True)
MEMORY = 4 << 30
"""Bytes that reading a file may take beyond its own size."""
_SECONDS = 120.0
_BYTES_A_SECOND = 5e6
"""Slower reading than this, after the first two minutes, is ended."""


class Job(Protocol[Result]):
    """Work on one file that may crash, hang or take too much memory."""

    @property
    def size(self) -> int:
        """The bytes of the file."""
        ...

    def carry_out(self, index: CohortIndex | None, scratch: Path) -> Result:
        """Do it, in the other process."""
        ...

    def given_up(self, reason: str) -> Result:
        """Return the result if that process crashed, or took too long."""
        ...


class Isolated:
    """A process that does one job after the other, and is started again if a job ends it.

    Parameters
    ----------
    index
        The cohort that all jobs compare with, or None; it is sent once.
    seconds
        Time for a small file; large ones have more.
    """

    def __init__(self, index: CohortIndex | None, *, seconds: float = _SECONDS) -> None:
        self._index = index
        self._seconds = seconds
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Isolated:
        self._scratch = tempfile.TemporaryDirectory(prefix="memberscan-inspect-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._scratch.cleanup()

    def carry_out(self, job: Job[Result]) -> Result:
        """Return the result of a job."""
        pipe = self._pipe or self._start()
        allowed = self._seconds + job.size / _BYTES_A_SECOND
        try:
            pipe.send(job)
            if not pipe.poll(allowed):
                self._stop()
                return job.given_up(f"reading it took longer than {allowed:.0f} seconds")
            result: Result = pipe.recv()
            return result
        except (EOFError, OSError):
            self._stop()
            return job.given_up("the program that read it crashed or ran out of memory")

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # a fork would copy threads that hold locks
        here, there = context.Pipe()
        process = context.Process(
            target=_work,
            args=(there, self._index, Path(self._scratch.name)),
            daemon=True,
            name="memberscan-inspect",
        )
        process.start()
        there.close()
        self._process, self._pipe = process, here
        return here

    def _stop(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None


def _work(pipe: Connection, index: CohortIndex | None, scratch: Path) -> None:
    """Do jobs until the other end is closed."""
    while True:
        try:
            job: Job[object] = pipe.recv()
        except (EOFError, OSError):
            return
        with _limited(job.size):
            result = job.carry_out(index, scratch)
        pipe.send(result)
        for left in scratch.iterdir():
            left.unlink()


@contextlib.contextmanager
def _limited(size: int) -> Iterator[None]:
    """Bound the memory of this process; what it maps of a large file counts, so that its size is added."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        if Path("/proc").exists()
        else 0
    )
    limit = used + MEMORY + 2 * size
    resource.setrlimit(
        resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
