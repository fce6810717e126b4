"""What the tests of readers share: sources of bytes, and values in a form that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from memberscan.inspection.readers import READERS
from memberscan.inspection.readers.base import Item, Partly, Reader
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_machine import PickleMachine
from memberscan.inspection.readers.vocabulary import VOCABULARY
from memberscan.inspection.sources import HEAD, Budget, Source
from memberscan.inspection.values import Columns, Instance


def budget(scratch: Path = Path("nowhere"), **limits: Any) -> Budget:
    return Budget(scratch, **limits)


def loaded(data: bytes, **limits: Any) -> Any:
    """The value of one pickle, as the machine makes it."""
    return PickleMachine(ByteStream.of(data, budget(**limits)), VOCABULARY).load()


def source_of(data: bytes | Path, name: str = "", scratch: Path = Path("nowhere")) -> Source:
    if isinstance(data, Path):
        return Source.on_disk(data, name or data.name, budget(scratch))
    return Source(name, len(data), data, budget(scratch))


def reader_of(source: Source) -> Reader | None:
    """The reader that the walker would choose."""
    with source.open() as stream:
        head = stream.read(HEAD)
    return next((reader for reader in READERS if reader.knows(source, head)), None)


def found(data: bytes | Path, name: str = "") -> list[Item | Partly | Source]:
    """All that the file's reader yields."""
    source = source_of(data, name)
    reader = reader_of(source)
    assert reader is not None
    return list(reader.read(source))


def values(data: bytes | Path, name: str = "") -> dict[str, Any]:
    """The values of a file by their places, in the form in which they can be compared."""
    items = found(data, name)
    assert all(isinstance(item, Item) for item in items), items
    return {item.place: plain(item.value) for item in items if isinstance(item, Item)}


def plain(value: Any) -> Any:
    """Arrays as lists, tables as dictionaries, and records as tuples of class, arguments and state."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Columns):
        return {name: plain(column) for name, column in value.columns.items()}
    if isinstance(value, Instance):
        return value.class_name, plain(value.arguments), plain(value.state)
    if isinstance(value, Mapping):
        return {plain(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(part) for part in value)
    return value


def instances(value: Any) -> list[Instance]:
    """All records in a value, each once."""
    records: list[Instance] = []
    seen: set[int] = set()
    parts = [value]
    while parts:
        part = parts.pop(0)
        if isinstance(part, Instance) and id(part) not in seen:
            records.append(part)
            parts += [part.arguments, part.state]
        elif isinstance(part, dict) and id(part) not in seen:
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset) and id(part) not in seen:
            parts += part
        seen.add(id(part))
    return records
