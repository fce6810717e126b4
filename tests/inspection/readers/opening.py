"""Reads made-up files as an inspection does: by the first reader that knows them, and what is in them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from memberscan.inspection.readers import READERS
from memberscan.inspection.readers.base import Item, Partly, Reader
from memberscan.inspection.sources import HEAD, Budget, Source
from memberscan.inspection.values import Columns, Instance, Picture


def budget(scratch: Path, **limits: Any) -> Budget:
    """A budget of a few seconds and 64 MiB, so that a bomb fails its test early."""
    limits = {"expanded": 64 << 20, "entries": 1000, "ends": time.monotonic() + 20} | limits
    return Budget(scratch, **limits)


def source(content: bytes | Path, name: str, scratch: Path, **limits: Any) -> Source:
    if isinstance(content, Path):
        return Source.on_disk(content, name, budget(scratch, **limits))
    return Source(name, len(content), content, budget(scratch, **limits))


def reader_of(file: Source) -> Reader:
    with file.open() as stream:
        head = stream.read(HEAD)
    return next(reader for reader in READERS if reader.knows(file, head))


def read(file: Source) -> list[Item | Partly | Source]:
    """What the reader that knows a file yields."""
    return list(reader_of(file).read(file))


def walked(file: Source) -> Iterator[tuple[str, Item | Partly]]:
    """All items of a file and the files within it, with the names of the files."""
    with file.open() as stream:
        head = stream.read(HEAD)
    for found in reader_of(file).read(file) if head else ():
        if isinstance(found, Source):
            yield from walked(found)
        else:
            yield file.name, found


def values(file: Source) -> dict[str, Any]:
    """The items of a file by their places; the last of each."""
    return {item.place: item.value for item in read(file) if isinstance(item, Item)}


def reasons(file: Source) -> dict[str, str]:
    """Why parts of a file were not read, by their places."""
    return {item.place: item.reason for item in read(file) if isinstance(item, Partly)}


def plain(value: Any) -> Any:
    """A value that can be compared: arrays as lists, tables and records as dictionaries."""
    if isinstance(value, Columns):
        return {name: plain(column) for name, column in value.columns.items()}
    if isinstance(value, Instance):
        return (value.class_name, plain(value.state))
    if isinstance(value, Picture):
        return (value.format, value.shape)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def survives(content: bytes, name: str, scratch: Path, cuts: int = 40) -> None:
    """Read a file cut at many bytes: it may fail by an exception, but not end the process nor run on."""
    for cut in sorted({*range(0, len(content), max(1, len(content) // cuts)), len(content) - 1}):
        try:
            list(walked(source(content[:cut], name, scratch)))
        except Exception:
            continue
