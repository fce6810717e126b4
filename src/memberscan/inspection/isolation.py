"""Read files in another process with limits of memory and time, so that no file stops the inspection."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import ReadFile
from memberscan.inspection.reading import FileReport, Task, report_on

MEMORY = 4 << 30
"""Bytes that reading a file may take beyond its own size."""
_SECONDS = 120.0
_BYTES_A_SECOND = 5e6
"""Slower reading than this, after the first two minutes, is ended."""


class Reading:
    """A process that reads one file after the other, and is started again if a file ends it."""

    def __init__(self, index: CohortIndex | None, *, seconds: float = _SECONDS) -> None:
        self._index = index
        self._seconds = seconds
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Reading:
        self._scratch = tempfile.TemporaryDirectory(prefix="memberscan-inspect-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._scratch.cleanup()

    def read(self, tasks: Sequence[Task]) -> Iterator[FileReport]:
        """Yield the report on each task, in order."""
        for task in tasks:
            yield self._read(task)

    def _read(self, task: Task) -> FileReport:
        pipe = self._pipe or self._start()
        allowed = self._seconds + task.size / _BYTES_A_SECOND
        try:
            pipe.send(task)
            if not pipe.poll(allowed):
                self._stop()
                return _unread(task, f"reading it took longer than {allowed:.0f} seconds")
            report: FileReport = pipe.recv()
            return report
        except (EOFError, OSError):
            self._stop()
            return _unread(task, "the program that read it crashed or ran out of memory")

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


def _unread(task: Task, reason: str) -> FileReport:
    return FileReport(files=[ReadFile(file=task.name, format="", size=task.size, sha256="", unread=reason)])


def _work(pipe: Connection, index: CohortIndex | None, scratch: Path) -> None:
    """Answer tasks until the other end is closed."""
    while True:
        try:
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        with _limited(task.size):
            report = report_on(task, index, scratch)
        pipe.send(report)
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
