"""Objects of R as values: lists, tables and records; nothing is evaluated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Budget
from memberscan.inspection.values import Columns, Instance

_MOST_NAMED: Final = 10_000
"""Most columns of a matrix that is made into a table by its names."""
_SHOWN: Final = frozenset(
    {"names", "dim", "dimnames", "class", "levels", "row.names", "tzone", "package", "tsp"}
)
"""Attributes that go into the value itself, or say nothing beside it."""
_PAIRS: Final = frozenset({"LIST", "ATTRLIST", "DOT"})
_NUMBERS: Final = frozenset({"LGL", "INT", "REAL", "CPLX"})
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Values:
    """Makes values of parsed objects, each environment once.

    Parameters
    ----------
    budget
        Charged with every object.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._environments: dict[int, dict[str, Any]] = {}
        self._waiting: list[tuple[str, Any]] = []

    def items(self, top: Any, workspace: bool) -> Iterator[Item]:
        """Yield the variables of a workspace or the one object, and then attributes of what is in them.

        Parameters
        ----------
        top
            A parsed object of the package rdata.
        workspace
            Whether it is a list of variables.
        """
        variables = _pairs(top) if workspace else [("", top)]
        for place, variable in variables:
            value = self.of(variable)
            yield Item(place, value)
            # Attributes of formulas and functions lead to environments, which may hold all of the data.
            while self._waiting:
                name, attribute = self._waiting.pop()
                yield Item(f"{place}@{name}", self.of(attribute))

    def of(self, node: Any) -> Any:
        """Return the value of a parsed object."""
        node = _referred(node)
        self._budget.look()
        self._budget.in_time()
        kind = node.info.type.name
        if kind in ("SYM", "CHAR"):
            return _text(node)
        if kind == "ENV":
            return self._environment(node)
        attributes = dict(_pairs(node.attributes))
        if kind == "VEC" or kind == "EXPR":
            return self._list(node, attributes)
        if kind == "S4":
            return self._s4(None, attributes)
        if kind in _NUMBERS or kind in ("STR", "RAW"):
            return self._vector(node, attributes)
        self._wait(attributes)
        return self._code(node, kind)

    def _code(self, node: Any, kind: str) -> Any:
        """Return what is in a pair list, a call, a function, a promise or a pointer."""
        if kind in _PAIRS:
            return _keyed([(name, self.of(inner)) for name, inner in _pairs(node)])
        if kind == "LANG":
            return [self.of(inner) for _, inner in _pairs(node)]
        if kind in ("CLO", "PROM"):
            state = {"environment": node.tag, "formals": node.value[0], "body": node.value[1]}
            parts = {name: self.of(inner) for name, inner in state.items() if inner is not None}
            return Instance("function" if kind == "CLO" else "promise", state=parts)
        if kind in ("BCODE", "EXTPTR") and isinstance(node.value, tuple):
            code, others = node.value
            return [self.of(inner) for inner in (others if isinstance(others, list) else [code, others])]
        return None

    def _environment(self, node: Any) -> dict[str, Any]:
        if id(node) not in self._environments:
            # It is filled after it is known, since what is in it may refer to it.
            found = self._environments[id(node)] = {}
            value = node.value
            lists = [value.frame, *(_referred(value.hash_table).value or ())]
            for pairs in lists:
                found.update((name, self.of(inner)) for name, inner in _pairs(pairs))
            if _referred(value.enclosure).info.type.name == "ENV":
                found["(parent)"] = self.of(value.enclosure)
        return self._environments[id(node)]

    def _wait(self, attributes: Mapping[str, Any]) -> None:
        self._waiting += [(name, inner) for name, inner in attributes.items() if name not in _SHOWN]

    def _s4(self, data: Any, attributes: Mapping[str, Any]) -> Instance:
        slots = {name: self.of(inner) for name, inner in attributes.items() if name != "class"}
        return Instance(
            " ".join(self._classes(attributes)), state=slots | ({} if data is None else {".Data": data})
        )

    def _classes(self, attributes: Mapping[str, Any]) -> list[str]:
        return [str(name) for name in self._plain(attributes, "class") or ()]

    def _plain(self, attributes: Mapping[str, Any], name: str) -> Any:
        """Return an attribute that is a vector or a list without attributes of its own."""
        if name not in attributes:
            return None
        node = _referred(attributes[name])
        if node.info.type.name == "VEC":
            return [_base(_referred(inner)) for inner in node.value]
        return _base(node)

    def _list(self, node: Any, attributes: Mapping[str, Any]) -> Any:
        values = [self.of(inner) for inner in node.value]
        classes = self._classes(attributes)
        names = self._plain(attributes, "names")
        if "data.frame" in classes and names is not None:
            self._wait(attributes)
            return _frame(names, values, self._plain(attributes, "row.names"))
        state = _keyed([*zip(names or [""] * len(values), values, strict=False)])
        if not classes:
            self._wait(attributes)
            return state
        more = {f"@{name}": self.of(inner) for name, inner in attributes.items() if name not in _SHOWN}
        return Instance(
            " ".join(classes), state=(state if isinstance(state, dict) else {"values": state}) | more
        )

    def _vector(self, node: Any, attributes: Mapping[str, Any]) -> Any:
        classes = self._classes(attributes)
        levels = self._plain(attributes, "levels")
        value = _base(node)
        if "factor" in classes and isinstance(levels, list):
            value = [levels[int(code) - 1] if 0 < code <= len(levels) else None for code in value]
        elif {"Date", "POSIXct"} & {*classes}:
            value = [_date(number, "Date" in classes) for number in np.asarray(value, float)]
        elif "class" in attributes and "package" in dict(_pairs(_referred(attributes["class"]).attributes)):
            # An S4 object that is a vector, too, such as a matrix with a kernel.
            return self._s4(value, attributes)
        self._wait(attributes)
        dims, names = self._plain(attributes, "dim"), self._plain(attributes, "names")
        if dims is not None and isinstance(value, np.ndarray) and np.prod(dims, dtype=float) == len(value):
            # R writes the first axis fastest.
            return _matrix(
                value.reshape([int(n) for n in dims], order="F"), self._plain(attributes, "dimnames")
            )
        if names is not None and len(names) == len(value):
            return Columns({"names": names, "value": value})
        return value


def _referred(node: Any) -> Any:
    """Return an object itself where it is only referred to."""
    while node.referenced_object is not None:
        node = node.referenced_object
    return node


def _pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and objects of a pair list or a call, which are chains of pairs."""
    while node is not None and node.info.type.name in (*_PAIRS, "LANG"):
        yield ("" if node.tag is None else _text(_referred(node.tag)) or ""), node.value[0]
        node = node.value[1]


def _keyed(pairs: list[tuple[Any, Any]]) -> Any:
    """Return named values as a dictionary, values without any name as a list."""
    if not any(name for name, _ in pairs):
        return [value for _, value in pairs]
    found: dict[str, Any] = {}
    for number, (name, value) in enumerate(pairs, 1):
        key = str(name or number)
        found[key if key not in found else f"{key}.{number}"] = value
    return found


def _text(node: Any) -> str | None:
    """Return the text of a symbol or a string; none for a missing string."""
    value = node.value
    if value is not None and not isinstance(value, bytes):
        return _text(_referred(value))
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _base(node: Any) -> Any:
    """Return the values of a vector without its attributes; missing whole numbers and truths as NaN."""
    if node.info.type.name == "STR":
        return [_text(_referred(one)) for one in node.value]
    value = node.value
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.filled(value.astype(float), np.nan)
    return value


def _frame(names: list[str], columns: list[Any], rows: Any) -> Columns:
    found: dict[str, Any] = {}
    # Rows without names are written as a missing number and minus their count.
    if isinstance(rows, list) or (isinstance(rows, np.ndarray) and len(rows) and not np.isnan(rows[0])):
        found["row.names"] = rows
    for name, column in zip(names, columns, strict=False):
        if isinstance(column, Columns):
            found |= {f"{name}.{inner}": cells for inner, cells in column.columns.items()}
        elif isinstance(column, list | np.ndarray):
            found[str(name)] = column
    return Columns(found)


def _matrix(value: np.ndarray, names: Any) -> Any:
    """Return a matrix with names as a table, any other array as it is."""
    if value.ndim != 2 or not isinstance(names, list) or len(names) != 2 or value.shape[1] > _MOST_NAMED:
        return value
    rows, columns = names
    labels = columns if isinstance(columns, list) else [str(i + 1) for i in range(value.shape[1])]
    table: dict[str, Any] = {"row.names": rows} if isinstance(rows, list) else {}
    return Columns(table | {str(label): value[:, i] for i, label in enumerate(labels)})


def _date(number: float, days: bool) -> str | None:
    """Return a date, or a time in UTC, that is written as its distance to 1970 in days or seconds."""
    try:
        when = _EPOCH + (dt.timedelta(days=number) if days else dt.timedelta(seconds=number))
    except (ValueError, OverflowError):
        return None
    return when.date().isoformat() if days else when.isoformat()
