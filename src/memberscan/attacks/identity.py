"""What determines an attack's result, as JSON: its parameters, and a digest of code outside memberscan.

A stored result records it, so that scores of an old version of an attack are never returned for a new one.
"""

from __future__ import annotations

import copyreg
import dataclasses
import dis
import functools
import hashlib
import json
import math
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from memberscan.attacks.attack import Attack

_OURS = "memberscan"
_NO_CODE_OF_ITS_OWN = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
)
_LOOKED_UP_BY_NAME = ("LOAD_GLOBAL", "LOAD_NAME")
_GENERATED = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"}
_GENERATED |= {"__lt__", "__le__", "__gt__", "__ge__"}
"""Methods that a data class may generate; they follow from its fields."""


def identity(attack: Attack) -> dict[str, Any]:
    """Return JSON values that differ if two attacks may give different scores.

    memberscan's own code is identified by its version. Other code is identified by a digest of the files that
    define its classes and functions, of the compiled functions (a notebook has no file), and of the values
    that these refer to. What they call in other modules is identified by its name only.

    Raises
    ------
    BadInputError
        If a parameter cannot be compared between two runs, such as an open file.
    """
    return {"name": attack.name, "parameters": _Description(attack.name).of(attack)}


class _Description:
    """Turns values into JSON that is equal in every process for equal values.

    Parameters
    ----------
    attack
        Named in errors.
    """

    def __init__(self, attack: str) -> None:
        self._attack = attack
        self._begun: dict[int, str] = {}
        self._done: dict[types.FunctionType | type, Any] = {}

    def of(self, value: Any) -> Any:
        """Return a value as JSON; functions and classes by name, and by digest if not from memberscan."""
        if isinstance(value, Enum) or not isinstance(value, (str, int, float, bool, type(None))):
            return self._composed(value)
        # JSON has no NaN, and NaN is not even equal to itself.
        return repr(value) if isinstance(value, float) and not math.isfinite(value) else value

    def _composed(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return hashlib.sha256(value).hexdigest()[:32]
        if isinstance(value, types.ModuleType):
            return value.__name__
        if isinstance(value, (types.FunctionType, type)):
            if value not in self._done:
                self._done[value] = self._guarded(value, value.__qualname__, self._code)
            return self._done[value]
        if isinstance(value, types.MethodType):
            return [self.of(value.__func__), self.of(value.__self__)]
        if isinstance(value, _NO_CODE_OF_ITS_OWN):
            return [value.__qualname__, self._owner(value)]
        if isinstance(value, Mapping):
            return [[self.of(key), self.of(item)] for key, item in value.items()]
        if isinstance(value, (list, tuple)):
            return [self.of(item) for item in value]
        if isinstance(value, (pd.DataFrame, pd.Series, pd.Index)):
            return self._table(value)
        if isinstance(value, (set, frozenset)):
            # The order of a set differs from process to process.
            return sorted((self.of(item) for item in value), key=json.dumps)
        return self._guarded(value, type(value).__qualname__, self._instance)

    def _table(self, table: pd.DataFrame | pd.Series | pd.Index) -> Any:
        """Return a table by its content; how pandas stores it does not matter."""
        kind = type(table).__qualname__
        if isinstance(table, pd.DataFrame):
            columns = [self.of(column) for _, column in table.items()]
            return [kind, self.of(table.index), self.of(table.columns), columns]
        labels = self.of(list(table.names)) if isinstance(table, pd.Index) else self.of(table.index)
        return [kind, labels, self.of(table.name), str(table.dtype), self.of(table.to_numpy())]

    def _owner(self, function: Any) -> Any:
        owner = getattr(function, "__self__", None)
        return None if isinstance(owner, types.ModuleType) else self.of(owner)

    def _guarded(self, value: Any, name: str, describe: Callable[[Any], Any]) -> Any:
        """Describe a value; inside its own description, as in a recursive function, by name only."""
        if id(value) in self._begun:
            return self._begun[id(value)]
        self._begun[id(value)] = name
        try:
            return describe(value)
        finally:
            del self._begun[id(value)]

    def _instance(self, value: Any) -> Any:
        """Return an object as its class and its fields, or as the parts from which a copy would be made."""
        if dataclasses.is_dataclass(value):
            fields = {f.name: self.of(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return {"class": self.of(type(value)), **fields}
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            made_from = reduce(value) if reduce else value.__reduce_ex__(2)
        except TypeError as error:
            raise BadInputError(
                f"attack {self._attack} holds a {type(value).__qualname__}, which cannot be compared "
                "with another one; give attacks numbers, text, arrays, functions or objects of these"
            ) from error
        if isinstance(made_from, str):
            # A name only, as for a cached function, which holds the function itself.
            return [self.of(type(value)), made_from, self.of(getattr(value, "__wrapped__", None))]
        return [
            self.of(list(part) if isinstance(part, Iterator) else part) for part in (type(value), *made_from)
        ]

    def _code(self, thing: Any) -> Any:
        """Return a function or a class by name, with a digest of its code if it is not from memberscan."""
        name = f"{thing.__module__}.{thing.__qualname__}"
        closure = [self.of(cell.cell_contents) for cell in _cells(thing)]
        if _module(thing) == _OURS or not _is_python(thing):
            return [name, *closure]
        parts = self._class(thing) if isinstance(thing, type) else self._function(thing)
        return [name, hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32], *closure]

    def _class(self, kind: type) -> list[Any]:
        parts: list[Any] = []
        for base in kind.__mro__:
            if base is not kind and (_module(base) == _OURS or not _is_python(base)):
                parts.append(base.__qualname__)
                continue
            parts.append(_file(base))
            parts += [[key, self._member(value)] for key, value in _members(base)]
        return parts

    def _member(self, member: Any) -> Any:
        if isinstance(member, property):
            return [self.of(part) for part in (member.fget, member.fset)]
        if isinstance(member, functools.cached_property):
            return self.of(member.func)
        if isinstance(member, (staticmethod, classmethod)):
            return self.of(member.__func__)
        return self._data(member)

    def _function(self, function: types.FunctionType) -> list[Any]:
        names = sorted(set(_names_looked_up(function.__code__)))
        known = {name: function.__globals__[name] for name in names if name in function.__globals__}
        return [
            _file(function),
            self._compiled(function.__code__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            # A script may set them from its arguments, and a notebook has no file that defines them.
            [[name, self._looked_up(function, value)] for name, value in known.items()],
        ]

    def _looked_up(self, function: types.FunctionType, value: Any) -> Any:
        """Return the value of a global name: described in full if it is of the same module, or data."""
        if isinstance(value, (types.FunctionType, type)) and value.__module__ != function.__module__:
            return f"{value.__module__}.{value.__qualname__}"
        return self._data(value)

    def _data(self, value: Any) -> Any:
        """Return a value that is part of code; one that cannot be compared is given by its type."""
        try:
            return self.of(value)
        except BadInputError:
            return type(value).__qualname__

    def _compiled(self, code: types.CodeType) -> list[Any]:
        constants = [
            self._compiled(constant) if isinstance(constant, types.CodeType) else self.of(constant)
            for constant in code.co_consts
        ]
        return [code.co_code.hex(), list(code.co_names), constants]


def _module(thing: Any) -> str:
    return (thing.__module__ or "").partition(".")[0]


def _is_python(thing: Any) -> bool:
    """Tell whether a thing is Python code from outside the standard library."""
    return _module(thing) not in sys.stdlib_module_names or _module(thing) == "__main__"


def _file(thing: Any) -> str | None:
    """Return a digest of the file that defines a thing; None for a notebook."""
    name = getattr(sys.modules.get(thing.__module__ or ""), "__file__", None)
    if not name or not Path(name).is_file():
        return None
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _cells(thing: Any) -> list[types.CellType]:
    """Return the closure of a function, such as the name of a layer."""
    cells = None if isinstance(thing, type) else getattr(thing, "__closure__", None)
    return [cell for cell in cells or () if _is_filled(cell)]


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the members of a class that determine what it does, without generated methods of data classes."""
    for name, member in vars(kind).items():
        special = name.startswith("__") and name.endswith("__")
        if isinstance(member, _NO_CODE_OF_ITS_OWN) or name == "_abc_impl":
            continue
        if special and not isinstance(member, (types.FunctionType, staticmethod, classmethod)):
            continue
        if special and _generated(kind, member):
            continue
        yield name, member


def _generated(kind: type, method: Any) -> bool:
    code = getattr(method, "__code__", None)
    made = code is not None and code.co_filename == "<string>" and method.__name__ in _GENERATED
    return made and "__dataclass_fields__" in vars(kind)


def _names_looked_up(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOOKED_UP_BY_NAME:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_looked_up(constant)
