"""From nested values to what detectors look at: texts, tables, arrays, objects, mappings and pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from memberscan.inspection.sources import Budget
from memberscan.inspection.values import Columns, Instance, Picture, Value

FEWEST_ROWS = 3
"""A table, or a list that is looked at as a whole, has at least this many rows."""
SHORTEST_FILE = 32
"""Bytes within a value that may be a file, such as a pickle, are at least this many."""
_MOST_KEYS = 10_000
"""Mappings with more keys in all are no rows of one table."""
_SCALARS = (str, bytes, int, float, bool, complex, type(None), np.generic)
_COLLECTIONS = (list, tuple, set, frozenset)


class Node(NamedTuple):
    """One thing in a file that detectors look at."""

    place: str
    """Its place in the file, such as ``model.steps[1]._fit_X``."""
    name: str
    """The last name in that place, such as ``_fit_X``."""
    value: str | bytes | np.ndarray | Columns | Instance | Mapping[Any, Any] | Picture
    """What is there."""
    owner: Instance | None
    """The nearest object that it belongs to, or None."""
    attribute: str = ""
    """The attribute of that object in which it lies, perhaps within a list or a mapping."""


class _Found(NamedTuple):
    """A value that is still to be looked at, and where it was found."""

    place: str
    name: str
    value: Value
    owner: Instance | None
    attribute: str = ""


def nodes(place: str, value: Value, budget: Budget) -> Iterator[Node]:
    """Yield everything within a value, each object once, however often it is referred to.

    What has one row for each of several things is yielded as a whole: lists of texts, lists of mappings with
    the same keys, mappings of columns of equal length, and mappings with one entry for each person.

    Raises
    ------
    TooLargeError
        If there are more values than the budget allows.
    """
    seen: dict[int, Value] = {}
    # A stack instead of recursion, since files may nest values deeper than Python's own stack.
    left = [_Found(place, place.rpartition(".")[2], value, None)]
    while left:
        found = left.pop()
        budget.look()
        if not isinstance(found.value, _SCALARS):
            if id(found.value) in seen:
                continue
            # The value is kept, so that no later object gets the same identity.
            seen[id(found.value)] = found.value
        whole = _as_a_whole(found.name, found.value)
        if whole is not None:
            yield Node(found.place, found.name, whole, found.owner, found.attribute)
            if _is_flat(found.value):
                left.extend(_blobs(found))
                continue
        elif isinstance(found.value, (str, bytes, Instance, Picture, Mapping)) and found.value:
            yield Node(found.place, found.name, found.value, found.owner, found.attribute)
        left.extend(reversed(list(_within(found))))


def _within(found: _Found) -> Iterator[_Found]:
    """Yield the values directly within a value."""
    place, name, value, owner, attribute = found
    if isinstance(value, Instance):
        for key, inner in value.state.items():
            yield _Found(joined(place, str(key)), str(key), inner, value, str(key))
        for k, inner in enumerate(value.arguments):
            yield _Found(f"{place}({k})", name, inner, value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            label = key if isinstance(key, str) else repr(key) if isinstance(key, _SCALARS) else "key"
            yield _Found(joined(place, label), label, inner, owner, attribute)
    elif isinstance(value, _COLLECTIONS):
        for k, inner in enumerate(value):
            yield _Found(f"{place}[{k}]", name, inner, owner, attribute)


def _blobs(found: _Found) -> Iterator[_Found]:
    """Yield what a table holds besides plain cells: long bytes, which may be a file, and objects."""
    place, name, value, owner, attribute = found
    if isinstance(value, np.ndarray) and value.dtype.names:
        for field in value.dtype.names:
            if value.dtype[field].subdtype is not None or value.dtype[field].names:
                yield _Found(joined(place, field), field, value[field], owner, attribute)
        return
    columns = value.columns if isinstance(value, Columns) else {"": value}
    for column, cells in columns.items():
        if isinstance(cells, np.ndarray):
            continue
        there = joined(place, column) if column else place
        inner = cells.items() if isinstance(cells, Mapping) else enumerate(cells)
        for key, cell in inner:
            if not isinstance(cell, _SCALARS) or (isinstance(cell, bytes) and len(cell) >= SHORTEST_FILE):
                label = joined(there, str(key)) if isinstance(cells, Mapping) else f"{there}[{key}]"
                if isinstance(value, Columns) or isinstance(cell, bytes):
                    yield _Found(label, column or name, cell, owner, attribute)
                else:
                    yield from _blobs(_Found(label, name, cell, owner, attribute))


def key_texts(mapping: Mapping[Any, Any]) -> list[str]:
    """Return the keys of a mapping as texts: numbers, bytes and the parts of tuples, too."""
    parts: list[Any] = []
    for key in mapping:
        parts.extend(key if isinstance(key, tuple) else [key])
    return [text(part) for part in parts if isinstance(part, (str, bytes, int, np.integer))]


def joined(place: str, key: str) -> str:
    """Return the place of a key within a place."""
    return f"{place}.{key}" if place else key


def _is_flat(value: Value) -> bool:
    """Return whether a value that is looked at as a whole holds nothing that would be missed."""
    if isinstance(value, (np.ndarray, Columns)):
        return True
    inner = value.values() if isinstance(value, Mapping) else value
    return all(isinstance(each, _SCALARS) or _is_column(each) or _is_row(each) for each in inner)


def _is_row(value: Value) -> bool:
    """Return whether a value is a row of a table: cells, by name or in order."""
    inner = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [()]
    )
    return all(isinstance(each, _SCALARS) for each in inner)


def _is_column(value: Value) -> bool:
    """Return whether a value is a column of a table."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind in "biufUSM"
    return isinstance(value, (list, tuple)) and all(isinstance(each, _SCALARS) for each in value)


def _as_a_whole(name: str, value: Value) -> Columns | np.ndarray | None:
    """Return a value as a table or an array if it has a row for each of several things, otherwise None."""
    if isinstance(value, Columns):
        return value if value.rows else None
    if isinstance(value, np.ndarray):
        return _of_array(name, value)
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, _COLLECTIONS) and len(value) >= FEWEST_ROWS:
        return _of_list(name, list(value))
    return None


def _of_array(name: str, value: np.ndarray) -> Columns | np.ndarray | None:
    if value.dtype.names:
        flat = value.ravel()
        plain = [
            field
            for field in value.dtype.names
            if not (value.dtype[field].subdtype or value.dtype[field].names)
        ]
        return Columns({field: flat[field] for field in plain})
    if value.dtype.kind in "US":
        return Columns({name: [text(each) for each in value.ravel().tolist()]})
    return value if value.dtype.kind in "biufM" and value.size else None


def _of_mapping(value: Mapping[Any, Value]) -> Columns | None:
    inner = list(value.values())
    if len(inner) >= 2 and all(_is_column(each) for each in inner):
        lengths = {len(each) for each in inner}
        if len(lengths) == 1 and lengths.pop() >= FEWEST_ROWS:
            return Columns({str(key): each for key, each in value.items()})
    if len(inner) < FEWEST_ROWS:
        return None
    if all(isinstance(each, _SCALARS) for each in inner):
        return Columns({"key": [str(key) for key in value], "value": inner})
    if all(isinstance(each, Mapping) for each in inner) and (cells := _cells(inner)):
        return Columns({"key": [str(key) for key in value], **cells})
    return None


def _of_list(name: str, value: list[Value]) -> Columns | np.ndarray | None:
    if all(isinstance(each, (str, bytes)) for each in value):
        return Columns({name: [text(each) for each in value]})
    if _all_numbers(value):
        return np.array(value, dtype=np.float64)
    if all(isinstance(each, Mapping) for each in value):
        cells = _cells(value)
        return Columns(cells) if len(cells) >= 2 else None
    if all(isinstance(each, (list, tuple)) and len(each) == len(value[0]) for each in value) and value[0]:
        if all(_all_numbers(row) for row in value):
            return np.array(value, dtype=np.float64)
        if all(_is_row(row) for row in value):
            return Columns({str(k): list(column) for k, column in enumerate(zip(*value, strict=True))})
    return None


def _all_numbers(value: Collection[Value]) -> bool:
    """Return whether all values are numbers that a float can hold."""
    return all(
        (isinstance(each, (float, np.number)) or (isinstance(each, int) and abs(each) < 1 << 63))
        and not isinstance(each, (bool, complex, np.complexfloating))
        for each in value
    )


def _cells(rows: list[Mapping[Any, Value]]) -> dict[str, list[Value]]:
    """Return the columns of a table whose rows are mappings; where a row lacks a key, its cell is None."""
    keys = {key: None for row in rows for key, cell in row.items() if isinstance(cell, _SCALARS)}
    if len(keys) > _MOST_KEYS:
        return {}
    return {str(key): [row.get(key) for row in rows] for key in keys}


def text(value: Value) -> str:
    """Return a cell as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)
