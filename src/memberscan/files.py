"""Files that are whole or absent, fingerprints, and the rule for running a command twice."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from memberscan.errors import BadInputError, DiskFullError, OutputConflictError

REQUEST = "request.json"


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


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file under a temporary name and rename it into place, so that readers never see half of it."""
    partial = _partial(path)
    with disk_guard(path):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)


def discard(path: Path) -> None:
    """Remove a file of :func:`write_bytes`, and the half of one that a kill may have left beside it."""
    path.unlink(missing_ok=True)
    _partial(path).unlink(missing_ok=True)


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode(), mode=mode)


def to_json(value: Any) -> str:
    """Return JSON that is the same for the same value; NaN is an error, since JSON has none."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write JSON atomically."""
    write_text(path, to_json(value), mode=mode)


def read_json(path: Path) -> Any:
    """Read JSON, naming the file when it is not."""
    try:
        return json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInputError(f"{path} is not valid JSON ({error}); restore it or make it again") from error


def write_table(path: Path, table: pd.DataFrame, *, mode: int = 0o644) -> None:
    """Write a tab-separated table atomically; missing values are "n/a", as BIDS has it."""
    write_text(path, table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n"), mode=mode)


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a tab-separated table written by :func:`write_table`; ``options`` go to ``pandas.read_csv``."""
    table: pd.DataFrame = pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, **options)
    return table


def fingerprint(value: Any) -> str:
    """Return a short digest of any JSON value or of bytes."""
    data = (
        value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
    )
    return hashlib.sha256(data).hexdigest()[:32]


def begin(directory: Path, request: dict[str, Any], *, done: str) -> bool:
    """Claim an output directory for one request; return whether that request is already finished there.

    Every command that writes a directory calls this first. The request is stored in the directory, so that
    the same command resumes or does nothing, and a different one is refused instead of mixing two results.

    Parameters
    ----------
    directory
        The output directory; made if absent.
    request
        What was asked, as JSON values.
    done
        Name of the file that is written last, whose presence says that the work is finished.

    Raises
    ------
    OutputConflictError
        If the directory holds another request, or files that memberscan did not write.
    """
    stored = directory / REQUEST
    if stored.exists():
        earlier = read_json(stored)
        if earlier != request:
            keys = sorted(k for k in earlier.keys() | request.keys() if earlier.get(k) != request.get(k))
            changes = ", ".join(f"{k} (was {earlier.get(k)!r}, now {request.get(k)!r})" for k in keys)
            raise OutputConflictError(
                f"{directory} was made with another configuration: {changes}; "
                "choose another output directory, or delete this one first"
            )
        return (directory / done).exists()
    if directory.exists() and (
        not directory.is_dir() or any(p != _partial(stored) for p in directory.iterdir())
    ):
        raise OutputConflictError(
            f"{directory} exists and is not a memberscan output; choose another output directory"
        )
    with disk_guard(directory):
        directory.mkdir(parents=True, exist_ok=True)
    write_json(stored, request)
    return False
