"""Take parts out of nested values by their places, which are named as the inspection names them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from memberscan.inspection.nodes import joined
from memberscan.inspection.values import Value


def pruned(value: Value, places: Collection[str], place: str = "") -> Value:
    """Return a value without the entries at some places.

    Parameters
    ----------
    value
        Mappings and lists, nested in any way; other values are kept as they are.
    places
        Where to take something out, such as ``history.subjects``.
    place
        Where the value itself is.
    """
    if isinstance(value, Mapping):
        inner: dict[Any, Value] = {}
        for key, each in value.items():
            there = joined(place, key if isinstance(key, str) else repr(key))
            if there not in places:
                inner[key] = pruned(each, places, there)
        return inner
    if isinstance(value, (list, tuple)):
        kept = [
            pruned(each, places, f"{place}[{k}]")
            for k, each in enumerate(value)
            if f"{place}[{k}]" not in places
        ]
        return type(value)(kept) if type(value) in (list, tuple) else kept
    return value
