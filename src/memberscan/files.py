"""Files that are whole or absent, fingerprints, and the rule for running a command twice."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import platform
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan.errors import BadInputError, BusyError, DiskFullError, OutputConflictError, TooLargeError
from memberscan.received import load_json, read_limited
from memberscan.requests import differences, in_words
from memberscan.shown import FORMULA, MARK, cell, from_cell, plain

REQUEST = "request.json"
LOCK = ".lock"
OWNER_ONLY = 0o600
"""Permissions of files about people: nobody but the owner reads them."""
_PARTIAL = ".partial"
TABLE_LIMIT = 1 << 30
"""Largest table that is read, in bytes: some ten million rows of predictions."""
MOST_COLUMNS = 20_000
"""Most columns of a table that is read; one of regional measures has hundreds."""


@contextlib.contextmanager
def disk_guard(path: Path) -> Iterator[None]:
    """Turn "no space left" into an error that says nothing was lost."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"the disk is full while writing {path}; what was finished is kept: "
                "free some space and run the same command again"
            ) from error
        raise


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644, new: bool = False) -> None:
    """Write a file under a temporary name and rename it into place, so that readers never see half of it.

    Nobody can foresee the temporary name, and it is never an existing file or a link, so that in a directory
    which others can write to, or which came from others, nothing else is overwritten.

    Parameters
    ----------
    path
        The file. A link of that name is replaced, never followed.
    data
        What to write.
    mode
        Permissions, less those that the umask takes away and those that an existing file of that name lacks.
    new
        Never replace a file, not even one that another process writes at the same moment.

    Raises
    ------
    FileExistsError
        If ``new``, and there is a file of that name.
    """
    partial = path.with_name(f".{path.name[:60]}.{secrets.token_hex(8)}{_PARTIAL}")
    with disk_guard(path):
        descriptor = os.open(
            partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _no_wider(path, mode)
        )
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if new:
                _rename_to_new(partial, path)
            else:
                partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _rename_to_new(partial: Path, path: Path) -> None:
    """Rename a file to a name that nobody has; of two processes that try at once, one fails."""
    try:
        # Unlike a rename, a second link to a file is refused where the name is taken.
        os.link(partial, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links. There the name is reserved by an empty file first.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, OWNER_ONLY))
        partial.replace(path)
    else:
        partial.unlink()


def _no_wider(path: Path, mode: int) -> int:
    try:
        about = path.lstat()
    except OSError:
        return mode
    return mode & about.st_mode if stat.S_ISREG(about.st_mode) else mode


def append_line(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Append a line of text to a file of ours; a link in its place is an error, and is not followed."""
    with disk_guard(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "ab") as stream:
            stream.write(f"{text}\n".encode())


def write_text(path: Path, text: str, *, mode: int = 0o644, new: bool = False) -> None:
    """Write UTF-8 text atomically; ``mode`` and ``new`` are those of :func:`write_bytes`.

    Raises
    ------
    BadInputError
        If there is a name in it that is not UTF-8, as names of files can be.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 40) : error.end].rpartition("\n")[2]
        raise BadInputError(
            f"{path.name} cannot hold {around!r}, which is not UTF-8; give that file or folder another name"
        ) from error
    write_bytes(path, data, mode=mode, new=new)


def to_json(value: Any) -> str:
    """Return JSON that is the same for the same value; NaN is an error, since JSON has none."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write JSON atomically."""
    write_text(path, to_json(value), mode=mode)


def write_table(path: Path, table: pd.DataFrame, *, mode: int = 0o644, new: bool = False) -> None:
    """Write a tab-separated table atomically; missing values are "n/a", as BIDS has it.

    Text that a spreadsheet would take for a formula gets an apostrophe before it; :func:`read_table` takes it
    away.
    """
    safe = _each_text(table, cell, (*FORMULA, MARK)).rename(columns=lambda name: cell(str(name)))
    text = safe.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    write_text(path, text, mode=mode, new=new)


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a tab-separated table written by :func:`write_table`; ``options`` go to ``pandas.read_csv``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    BadInputError
        If it cannot be read as a table.
    """
    data = read_limited(path, TABLE_LIMIT)
    require_few_columns(data.partition(b"\n")[0].count(b"\t") + 1, path)
    try:
        table: pd.DataFrame = pd.read_csv(
            io.BytesIO(data), sep="\t", na_values=["n/a"], keep_default_na=False, **options
        )
    except (ValueError, pd.errors.ParserError, OverflowError) as error:
        raise BadInputError(
            f"{path} is not a readable table ({error}); restore it or make it again"
        ) from error
    return without_marks(table)


def require_few_columns(columns: int, path: Path) -> None:
    """Refuse a table with an absurd number of columns; each takes time and memory of its own."""
    if columns > MOST_COLUMNS:
        raise TooLargeError(
            f"{path} has {columns:,} columns, and at most {MOST_COLUMNS:,} are read; remove those that "
            "are not needed"
        )


def without_marks(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the apostrophes that :func:`write_table` puts before formulas."""
    return _each_text(table, from_cell, MARK).rename(columns=lambda name: from_cell(str(name)))


def _each_text(table: pd.DataFrame, change: Callable[[str], str], first: Sequence[str]) -> pd.DataFrame:
    """Apply a change to every cell of text that begins with one of the characters in ``first``."""
    changed = table.copy(deep=False)
    for place, kind in enumerate(table.dtypes):
        if pd.api.types.is_numeric_dtype(kind):
            continue
        column = table.iloc[:, place].copy()
        if (touched := column.astype(str).str[:1].isin(list(first))).any():
            column[touched] = np.array([change(value) for value in column[touched]], dtype=object)
            changed.isetitem(place, column.array)
    return changed


def fingerprint(value: Any) -> str:
    """Return a short digest of any JSON value or of bytes."""
    data = (
        value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
    )
    return hashlib.sha256(data).hexdigest()[:32]


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
        not directory.is_dir() or any(p.name != LOCK and p.suffix != _PARTIAL for p in directory.iterdir())
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
            if path.suffix == _PARTIAL and path.name.startswith(".") and path.is_file():
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
