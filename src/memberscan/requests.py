"""Compare the arguments of a command with those of an earlier call, and describe the differences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

RECORDED = ("threads", "date", "name", "note")
"""Keys of a request that are recorded but not compared: requests that differ only in them are equal."""
_DIGEST = re.compile("[0-9a-f]{32,64}")


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the entries in which two requests differ, with both values, by the path of their keys.

    A key that one request lacks counts as None. The keys in :data:`RECORDED` are ignored.
    """
    first, second = dict(_entries(earlier)), dict(_entries(now))
    paths = sorted(first.keys() | second.keys())
    return {
        path: (first.get(path), second.get(path)) for path in paths if first.get(path) != second.get(path)
    }


def _entries(request: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in request.items():
        if isinstance(value, Mapping):
            yield from _entries(value, f"{path}{key} ")
        elif path or key not in RECORDED:
            # Through JSON, so that a tuple equals the list that was stored.
            yield f"{path}{key}", list(value) if isinstance(value, tuple) else value


def in_words(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """Describe each changed option; digests and seeds are not shown, because their values mean nothing."""
    said = []
    for path, (earlier, now) in changes.items():
        name = path.replace("_", " ")
        if "seed" in path or any(isinstance(v, str) and _DIGEST.fullmatch(v) for v in (earlier, now)):
            said.append(f"{name} is different")
        else:
            said.append(f"{name} was {_value(earlier)} and is now {_value(now)}")
    return "; ".join(said)


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "nothing"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    return str(value)
