"""What decides an attack's result, as JSON: its parameters, and a digest of code that is not ours."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memberscan.attacks.base import Attack

_OURS = "memberscan"


def identity(attack: Attack) -> dict[str, Any]:
    """Return JSON values that differ wherever two attacks may give different scores.

    Our own code is known by the product's version. Of other code a digest is taken: of the files that its
    classes and functions stand in, and of the compiled functions themselves, since a notebook has no file.
    What those call in further modules is not looked at.
    """
    return {"name": attack.name, "parameters": _described(attack)}


def _described(value: Any) -> Any:
    """Return a field as JSON; functions and classes by name, and by digest if they are not ours."""
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, type | types.FunctionType | types.MethodType):
        return _code(value)
    if dataclasses.is_dataclass(value):
        fields = {f.name: _described(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": _code(type(value)), **fields}
    if isinstance(value, Mapping):
        return {str(key): _described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    # Arrays and whatever else is decided by its bytes, or by what it says of itself.
    data = value.tobytes() if hasattr(value, "tobytes") else repr(value).encode()
    return {"type": type(value).__qualname__, "digest": hashlib.sha256(data).hexdigest()[:32]}


def _code(thing: Any) -> Any:
    name = f"{thing.__module__}.{thing.__qualname__}"
    if thing.__module__.partition(".")[0] == _OURS:
        return [name, *_enclosed(thing)]
    digest = hashlib.sha256()
    for kind in thing.__mro__ if isinstance(thing, type) else [thing]:
        if kind.__module__.partition(".")[0] not in (_OURS, "builtins", "abc", "typing"):
            _add_code(digest, kind)
    return [name, digest.hexdigest()[:32], *_enclosed(thing)]


def _enclosed(thing: Any) -> list[Any]:
    """Return the values that a function keeps from where it was defined, such as the name of a layer."""
    function = getattr(thing, "__func__", thing)
    cells = getattr(function, "__closure__", None) or ()
    return [_described(cell.cell_contents) for cell in cells]


def _add_code(digest: Any, thing: Any) -> None:
    file = getattr(sys.modules.get(thing.__module__), "__file__", None)
    if file and Path(file).is_file():
        digest.update(Path(file).read_bytes())
    members = vars(thing).values() if isinstance(thing, type) else [thing]
    for member in members:
        function = inspect.unwrap(getattr(member, "__func__", getattr(member, "fget", member)) or member)
        if isinstance(function, types.FunctionType):
            _add_function(digest, function.__code__)
            digest.update(repr((function.__defaults__, function.__kwdefaults__)).encode())
        elif isinstance(member, (str, int, float, tuple)):
            digest.update(repr(member).encode())


def _add_function(digest: Any, code: types.CodeType) -> None:
    digest.update(code.co_code)
    digest.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        # A nested function's repr has an address in it.
        if isinstance(constant, types.CodeType):
            _add_function(digest, constant)
        else:
            digest.update(repr(constant).encode())
