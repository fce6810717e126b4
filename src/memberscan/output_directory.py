"""Output directories: one request per directory, one process at a time, and resuming when run again."""

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

    Every command that writes a directory does so within this context. The request is stored in the directory,
    so that the same command resumes or does nothing, and a different one is refused instead of mixing two
    results. Within the context, no other process can claim the directory. If the work fails before it has
    written anything, the request is removed again.

    Parameters
    ----------
    directory
        The output directory; created if it does not exist.
    request
        The arguments of the command, as JSON values. They may name people or seeds, so only the owner can
        read the file. The keys in :data:`memberscan.requests.RECORDED` are stored but not compared.
    done
        Name of the file that is written last, whose presence means that the work is finished.
    grows
        Key of a number in the request that may be larger than in the stored request: the work then continues
        from where the stored one ended.

    Raises
    ------
    OutputConflictError
        If the directory holds another request, files that memberscan did not write, or symbolic links.
    BusyError
        If another process is working there.
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
                # In this order, a process that is killed in between leaves unfinished work, and never a
                # finished directory with less than its request says.
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
    """Compare a request with the one stored in a directory; raise an error if they differ."""
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
    """Remove half-written files of a killed process; refuse symbolic links, which may point elsewhere."""
    for place, folders, names in os.walk(directory):
        for path in (Path(place) / name for name in (*folders, *names)):
            if path.is_symlink():
                raise OutputConflictError(
                    f"{path} is a symbolic link, and memberscan does not write through links: replace it by "
                    "a real file or directory, or choose another output directory"
                )
            if path.suffix == PARTIAL and path.name.startswith(".") and path.is_file():
                path.unlink()


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a directory against other processes; the lock of a killed process is released.

    Raises
    ------
    BusyError
        If another process has the lock.
    """
    path = directory / LOCK
    with disk_guard(directory):
        descriptor = _lock(path)
    try:
        yield
    finally:
        # Remove the file before its lock is released: a process that opened it in the meantime sees in _names
        # that it locked a removed file, and tries again.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Lock a file for this process alone, and return its descriptor."""
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
            # Some network file systems have no locks; there, no other process is kept out.
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                os.close(descriptor)
                raise
        if _names(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
            return descriptor
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Open a lock file; a pipe, a device, a folder or a link of that name is not memberscan's."""
    foreign = OutputConflictError(
        f"{path} is not a lock file of memberscan: remove it, or choose another directory"
    )
    try:
        # Without O_NONBLOCK, opening some devices would block.
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
    """Return whether a path still names an open file; the last holder of the lock may have removed it."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))
