"""Output directories: one request each, one process at a time, and what happens when a command runs again."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import stat
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from memberscan.errors import BadInputError, BusyError, OutputConflictError
from memberscan.files import OWNER_ONLY, PARTIAL, disk_guard, write_json
from memberscan.received import load_json
from memberscan.requests import differences, in_words
from memberscan.shown import plain

REQUEST = "request.json"
LOCK = ".lock"


@contextlib.contextmanager
def claim(directory: Path, request: dict[str, Any], *, done: str, grows: str = "") -> Iterator[bool]:
    """Claim an output directory for one request; yield whether that request is already finished there.

    Every command that writes a directory does so within this. The request is stored in the directory, so that
    the same command resumes or does nothing, and a different one is refused instead of mixing two results. As
    long as it lasts, no other process can claim the directory. If the work fails before it has written
    anything, the request is removed again.

    Parameters
    ----------
    directory
        The output directory; made if absent.
    request
        What was asked, as JSON values. It may name people or seeds: only the owner can read it. The keys in
        :data:`memberscan.requests.RECORDED` are stored and not compared.
    done
        Name of the file that is written last, whose presence says that the work is finished.
    grows
        Key of a number in the request that may be larger than in the stored one: then the work goes on from
        where that one ended.

    Raises
    ------
    OutputConflictError
        If the directory holds another request, files that memberscan did not write, or symbolic links.
    BusyError
        If another process is at work there.
    """
    # Before anything is locked: a finished directory may be read-only.
    if _stored(directory, request, grows) == Stored.SAME and (directory / done).exists():
        yield True
        return
    made = not directory.exists()
    with disk_guard(directory):
        directory.mkdir(parents=True, exist_ok=True)
    try:
        with locked(directory):
            _tidy(directory)
            found = _stored(directory, request, grows)
            if found == Stored.SHORTER:
                # In this order: a process killed in between leaves unfinished work, and never a finished
                # directory that holds less than its request says.
                (directory / done).unlink(missing_ok=True)
            if found != Stored.SAME:
                write_json(directory / REQUEST, request, mode=OWNER_ONLY)
            try:
                yield (directory / done).exists()
            except BaseException:
                if found == Stored.NONE and {p.name for p in directory.iterdir()} <= {REQUEST, LOCK}:
                    (directory / REQUEST).unlink()
                raise
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


class Stored(Enum):
    """What an output directory holds, compared with a request."""

    NONE = "nothing yet"
    SAME = "the same request"
    SHORTER = "the same request for less of it"


def _stored(directory: Path, request: dict[str, Any], grows: str) -> Stored:
    """Compare the request that is stored in a directory with another; raise an error if they differ."""
    stored = directory / REQUEST
    if stored.exists():
        earlier = load_json(stored)
        if not isinstance(earlier, dict):
            raise BadInputError(
                f"{stored} does not hold a JSON object; delete {directory} and run the command again"
            )
        changes = differences(earlier, request)
        if not changes:
            return Stored.SAME
        if list(changes) == [grows] and earlier[grows] < request[grows]:
            return Stored.SHORTER
        raise OutputConflictError(
            f"{directory} was made with another configuration: {in_words(changes)}; "
            "choose another output directory, or delete this one first"
        )
    if directory.exists() and (
        not directory.is_dir() or any(p.name != LOCK and p.suffix != PARTIAL for p in directory.iterdir())
    ):
        raise OutputConflictError(
            f"{directory} exists and is not a memberscan output; choose another output directory"
        )
    return Stored.NONE


def _tidy(directory: Path) -> None:
    """Remove what a killed process left half written; refuse symbolic links, which would lead elsewhere."""
    for place, folders, names in os.walk(directory):
        for path in (Path(place) / name for name in (*folders, *names)):
            if path.is_symlink():
                raise OutputConflictError(
                    f"{path} is a symbolic link, and memberscan does not write through links: replace it by "
                    "what it points to, or choose another output directory"
                )
            if path.suffix == PARTIAL and path.name.startswith(".") and path.is_file():
                path.unlink()


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory against other processes; a process that was killed holds nothing.

    Raises
    ------
    BusyError
        If another process holds it.
    """
    path = directory / LOCK
    with disk_guard(directory):
        descriptor = _lock(path)
    try:
        yield
    finally:
        # Remove the name before the lock is released: a process that opened the file meanwhile sees in _names
        # that its lock is on a file that is gone, and tries again.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Return the descriptor of a lock file that this process alone holds."""
    while True:
        descriptor = _open_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 200).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise BusyError(
                f"{path.parent} is being written by {plain(holder)}; wait until it ends, or choose another "
                "output directory"
            ) from error
        except OSError as error:
            # Some network file systems have no locks; there, as before, nobody is kept out.
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                os.close(descriptor)
                raise
        if _names(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
            return descriptor
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Open a lock file; a pipe, a device, a folder or a link of that name is not one of ours."""
    foreign = OutputConflictError(f"{path} is no lock of memberscan: remove it, or choose another directory")
    try:
        # Without O_NONBLOCK the opening of some devices would wait.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, OWNER_ONLY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise foreign from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise foreign
    return descriptor


def _names(path: Path, descriptor: int) -> bool:
    """Tell whether a path still leads to an open file, which its last holder may have removed."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))
