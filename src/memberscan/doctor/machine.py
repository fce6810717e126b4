"""Cores, memory and places to write to, as far as this process may use them."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from memberscan import threads

_WAITING = "OMP_WAIT_POLICY"
_MEMORY = Path("/proc/meminfo")
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Limits of a container, in versions 2 and 1 of Linux' control groups, as seen from within it."""


@dataclass(frozen=True)
class Threads:
    """Cores of the machine, cores that this process may use, and what the environment says about threads.

    ``count`` is OMP_NUM_THREADS and ``waiting`` is OMP_WAIT_POLICY; None if the variable is not set.
    """

    cores: int
    usable: int
    count: str | None
    waiting: str | None


@dataclass(frozen=True)
class Memory:
    """Memory in bytes: of the machine, free now, and the limit of the container; None where not known."""

    total_bytes: int | None
    available_bytes: int | None
    limit_bytes: int | None


@dataclass(frozen=True)
class Place:
    """A directory that memberscan or its libraries write to.

    Parameters
    ----------
    path
        The directory.
    use
        What is written there.
    needed
        Whether commands fail if it cannot be written.
    remedy
        What to do if it cannot be written.
    writable
        Whether a file could be created there, and was removed again.
    free_bytes
        Free space, bytes; None if that cannot be told.
    """

    path: str
    use: str
    needed: bool
    remedy: str
    writable: bool
    free_bytes: int | None


def find_threads() -> Threads:
    """Return what this process can compute with; affinity, such as SLURM's, is counted."""
    cores = os.cpu_count() or 1
    return Threads(cores, threads.available(), os.environ.get(threads.COUNT), os.environ.get(_WAITING))


def find_memory() -> Memory:
    """Return the memory of the machine, and the limit of the container if there is one."""
    stated = _stated_memory(_MEMORY)
    limits = [limit for path in _LIMITS if (limit := _limit(path)) is not None]
    total = stated.get("MemTotal")
    # Version 1 states "no limit" as a number near 2**63.
    real = [limit for limit in limits if total is None or limit < total]
    return Memory(total, stated.get("MemAvailable"), min(real, default=None))


def _stated_memory(path: Path) -> dict[str, int]:
    """Return the lines of Linux' meminfo in bytes; none on other systems."""
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines()]
    except OSError:
        return {}
    # proc(5): the unit "kB" is 1024 bytes.
    return {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines if words[2:] == ["kB"]}


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text("ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def find_places(directory: Path) -> tuple[Place, ...]:
    """Return the places that are written to, each tried with a file that is removed at once."""
    return (
        _place(directory, "results", "choose another directory, or change its permissions"),
        _place(Path(tempfile.gettempdir()), "temporary files", "set TMPDIR to a directory that can be"),
        _place(Path.home(), "caches of matplotlib", "set MPLCONFIGDIR to one that can be", needed=False),
    )


def _place(path: Path, use: str, remedy: str, *, needed: bool = True) -> Place:
    try:
        # Permissions do not tell: file systems can be read-only or full, and users be mapped to others.
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"memberscan")
            file.flush()
        writable = True
    except OSError:
        writable = False
    try:
        free = shutil.disk_usage(path).free
    except OSError:
        free = None
    return Place(str(path.absolute()), use, needed, remedy, writable, free)
