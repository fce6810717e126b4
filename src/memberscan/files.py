"""Write files so that they are complete or absent; read and write tables; fingerprints."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan.errors import BadInputError, DiskFullError, TooLargeError
from memberscan.received import read_limited
from memberscan.shown import FORMULA, MARK, cell, from_cell
from memberscan.shown import to_json as to_json

OWNER_ONLY = 0o600
"""Permissions of files about people: only the owner can read them."""
PARTIAL = ".partial"
TABLE_LIMIT = 1 << 30
"""Largest table that is read, in bytes: about ten million rows of predictions."""
MOST_COLUMNS = 20_000
"""Most columns of a table that is read; tables of regional measures have hundreds."""
_FEW_CELLS = 1_000_000
"""A table with at most this many cells is read, however many of them are empty."""


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

    The temporary name is unpredictable, and never an existing file or a link. In a directory that others can
    write to, or that came from others, no other file can therefore be overwritten.

    Parameters
    ----------
    path
        The file. A link of that name is replaced, never followed.
    data
        The content.
    mode
        Permissions, without those that the umask removes and those that an existing file of that name lacks.
    new
        Never replace an existing file, not even one that another process writes at the same time.

    Raises
    ------
    FileExistsError
        If ``new``, and the file exists.
    """
    partial = path.with_name(f".{path.name[:60]}.{secrets.token_hex(8)}{PARTIAL}")
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
    """Rename a file to a name that does not exist; if two processes try at once, one of them fails."""
    try:
        # A rename replaces an existing file; making a hard link fails if the name is taken.
        os.link(partial, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no hard links. There, an empty file reserves the name first.
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
    """Append a line of text to a file of memberscan; if it is a link, that is an error."""
    with disk_guard(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "ab") as stream:
            stream.write(f"{text}\n".encode())


def write_text(path: Path, text: str, *, mode: int = 0o644, new: bool = False) -> None:
    """Write UTF-8 text atomically; ``mode`` and ``new`` are those of :func:`write_bytes`.

    Raises
    ------
    BadInputError
        If the text has a name that is not UTF-8, which file names can have.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 40) : error.end].rpartition("\n")[2]
        raise BadInputError(
            f"{path.name} cannot hold {around!r}, which is not UTF-8; give that file or folder another name"
        ) from error
    write_bytes(path, data, mode=mode, new=new)


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write JSON atomically."""
    write_text(path, to_json(value), mode=mode)


def write_table(path: Path, table: pd.DataFrame, *, mode: int = 0o644, new: bool = False) -> None:
    """Write a tab-separated table atomically; missing values are "n/a", as in BIDS.

    Text that a spreadsheet would read as a formula gets an apostrophe before it; :func:`read_table` removes
    it.
    """
    safe = _each_text(table, cell, (*FORMULA, MARK)).rename(columns=lambda name: cell(str(name)))
    text = safe.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    write_text(path, text, mode=mode, new=new)


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a tab-separated table written by :func:`write_table`; ``options`` go to ``pandas.read_csv``.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    BadInputError
        If the file cannot be read as a table.
    """
    data = read_limited(path, TABLE_LIMIT)
    # pandas would widen all rows to the widest one, however wide.
    widest = max((line.count(b"\t") for line in io.BytesIO(data)), default=0)
    require_few_cells(widest + 1, data, path)
    try:
        table: pd.DataFrame = pd.read_csv(
            io.BytesIO(data), sep="\t", na_values=["n/a"], keep_default_na=False, **options
        )
    except (ValueError, pd.errors.ParserError, OverflowError) as error:
        raise BadInputError(
            f"{path} is not a readable table ({error}); restore it, or run the command that makes it again"
        ) from error
    # Most tables hold no mark, and looking for one in each cell takes longer than reading them.
    return without_marks(table) if MARK.encode() in data else table.rename(columns=str)


def require_few_cells(columns: int, text: str | bytes, path: Path) -> None:
    """Refuse a table with far too many columns or cells, before any memory is allocated for them.

    Each column takes time and memory. Rows shorter than the header are filled up, so a megabyte of short rows
    below a long header would become billions of cells.

    Parameters
    ----------
    columns
        Number of columns in the header.
    text
        The whole table.
    path
        The table's file, to name it in errors.
    """
    if columns > MOST_COLUMNS:
        raise TooLargeError(
            f"{path} has {columns:,} columns, but at most {MOST_COLUMNS:,} are read; remove those that "
            "are not needed"
        )
    lines = text.count("\n") if isinstance(text, str) else text.count(b"\n")
    # In a complete table, each cell is followed by a separator or a line end, so it takes at least one byte.
    if (cells := columns * lines) > max(_FEW_CELLS, 2 * len(text)):
        raise TooLargeError(
            f"{path} has {columns:,} columns and {lines:,} lines, but most of their cells are missing "
            f"({cells:,} cells, {len(text):,} characters); write every row with as many cells as the header"
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


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(value: Any) -> str:
    """Return a short digest of any JSON value or of bytes."""
    data = (
        value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
    )
    return hashlib.sha256(data).hexdigest()[:32]
