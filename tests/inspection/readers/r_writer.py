"""Writes objects of R as R does (version 3, XDR), from R Internals, without any code that is tested."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

SYMBOL, PAIRS, CLOSURE, ENVIRONMENT, CALL, STRING = 1, 2, 3, 4, 6, 16
NOTHING, GLOBAL, REFERENCE = 254, 253, 255


class R:
    """An object of R: its type and value, and its attributes by name."""

    def __init__(self, kind: int, value: Any = None, flags: int = 0, **attributes: Any) -> None:
        self.kind, self.value, self.flags = kind, value, flags
        self.attributes = {name.replace("__", "."): inner for name, inner in attributes.items()}


def call(*parts: str, **attributes: Any) -> R:
    return R(CALL, [R(SYMBOL, part) for part in parts], **attributes)


def environment(**variables: Any) -> R:
    return R(ENVIRONMENT, variables)


def closure(where: R) -> R:
    return R(CLOSURE, where)


def listed(**values: Any) -> R:
    return R(19, [*values.values()], names=[*values])


def of_class(names: list[str] | str, **values: Any) -> R:
    made = listed(**values)
    made.attributes["class"] = [names] if isinstance(names, str) else names
    return made


def frame(rows: list[str] | None = None, **columns: Any) -> R:
    made = of_class("data.frame", **columns)
    count = next(len(column) for column in columns.values() if not isinstance(column, R)) if not rows else 0
    made.attributes["row.names"] = rows or np.array([-(2**31), -count], np.int32)
    return made


def matrix(values: np.ndarray, rows: list[str] | None = None, names: list[str] | None = None) -> R:
    more = {} if rows is None and names is None else {"dimnames": R(19, [rows, names])}
    return R(14, values.ravel(order="F"), dim=np.array(values.shape, np.int32), **more)


def s4(name: str, **slots: Any) -> R:
    return R(25, None, 16 << 12, **slots, **{"class": R(STRING, [name], package=["kernlab"])})


class _Writer:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.known: dict[Any, int] = {}

    def integer(self, *values: int) -> None:
        self.parts.append(struct.pack(f">{len(values)}i", *values))

    def text(self, value: str | None) -> None:
        if value is None:
            self.integer(9, -1)
            return
        content = value.encode()
        # 8 says that it is UTF-8, in the bits of the flags from the 12th.
        self.integer(9 | 8 << 12, len(content))
        self.parts.append(content)

    def refer(self, key: Any) -> bool:
        """Write a reference if the object was written before, else remember it."""
        if key in self.known:
            self.integer(REFERENCE | self.known[key] << 8)
            return True
        self.known[key] = len(self.known) + 1
        return False

    def symbol(self, name: str) -> None:
        if not self.refer(name):
            self.integer(SYMBOL)
            self.text(name)

    def pairs(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            self.integer(PAIRS | 0x400)
            self.symbol(name)
            self.write(value)
        self.integer(NOTHING)

    def write(self, value: Any) -> None:
        if value is None:
            self.integer(NOTHING)
            return
        node = value if isinstance(value, R) else _node(value)
        flags = (
            node.kind
            | node.flags
            | (0x200 if node.attributes else 0)
            | (0x100 if "class" in node.attributes else 0)
        )
        if node.kind == SYMBOL:
            self.symbol(node.value)
        elif node.kind == ENVIRONMENT:
            self.environment(node)
        elif node.kind == CALL:
            self.call(node, flags)
        elif node.kind == CLOSURE:
            self.integer(CLOSURE | 0x400)
            self.write(node.value)
            self.integer(NOTHING, NOTHING)
        else:
            self.integer(flags)
            self.vector(node)
            if node.attributes:
                self.pairs(node.attributes)

    def environment(self, node: R) -> None:
        if not self.refer(id(node)):
            self.integer(ENVIRONMENT, 0, GLOBAL, NOTHING)
            # A table of hashes with one empty place and one that has all variables.
            self.integer(19, 2, NOTHING)
            self.pairs(node.value)
            self.integer(NOTHING)

    def call(self, node: R, flags: int) -> None:
        self.integer(flags)
        if node.attributes:
            self.pairs(node.attributes)
        first, *rest = node.value
        self.write(first)
        for part in rest:
            self.integer(PAIRS)
            self.write(part)
        self.integer(NOTHING)

    def vector(self, node: R) -> None:
        if node.kind == 25:
            return
        self.integer(len(node.value))
        if node.kind == 19:
            for inner in node.value:
                self.write(inner)
        elif node.kind == STRING:
            for inner in node.value:
                self.text(inner)
        elif node.kind == 24:
            self.parts.append(bytes(node.value))
        else:
            self.parts.append(
                np.asarray(node.value)
                .astype({10: ">i4", 13: ">i4", 14: ">f8", 15: ">c16"}[node.kind])
                .tobytes()
            )


def _node(value: Any) -> R:
    if isinstance(value, str):
        return R(STRING, [value])
    if isinstance(value, list) and all(isinstance(one, str | None) for one in value):
        return R(STRING, value)
    if isinstance(value, list):
        return R(19, value)
    if isinstance(value, bytes):
        return R(24, value)
    array = np.atleast_1d(np.asarray(value))
    return R({"b": 10, "i": 13, "f": 14, "c": 15}[array.dtype.kind], array)


def rds(value: Any) -> bytes:
    """The bytes of ``saveRDS(value, compress = FALSE)``."""
    writer = _Writer()
    writer.write(value)
    return b"X\n" + struct.pack(">4i", 3, 0x40300, 0x30500, 5) + b"UTF-8" + b"".join(writer.parts)


def rdata(**variables: Any) -> bytes:
    """The bytes of ``save(..., compress = FALSE)``."""
    writer = _Writer()
    writer.pairs(variables)
    return b"RDX3\nX\n" + struct.pack(">4i", 3, 0x40300, 0x30500, 5) + b"UTF-8" + b"".join(writer.parts)
