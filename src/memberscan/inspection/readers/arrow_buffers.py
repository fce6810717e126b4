"""Columns of Apache Arrow, made of their buffers without the library."""

from __future__ import annotations

import itertools
import re
from typing import Any, Final

import numpy as np

from memberscan.inspection.readers.pickle_stack import text_of
from memberscan.inspection.sources import Budget
from memberscan.inspection.values import Instance, Value

_OFFSETS: Final = {"string": "<i4", "utf8": "<i4", "large_string": "<i8", "large_utf8": "<i8"}
_NUMBERS: Final = {"float": "<f4", "halffloat": "<f2", "double": "<f8"}


def arrow_column(budget: Budget, value: Value) -> list[Value]:
    """Return the values of an array or a chunked array that a pickle holds.

    Source: the columnar format of Apache Arrow: a bitmap of what is valid, offsets and data.

    Raises
    ------
    TypeError
        If it is of a type other than text, Booleans and numbers.
    """
    budget.look()
    if not isinstance(value, Instance):
        raise TypeError
    if value.class_name == "pyarrow.lib.chunked_array":
        return [item for chunk in value.arguments[0] for item in arrow_column(budget, chunk)]
    if value.class_name != "pyarrow.lib._restore_array":
        raise TypeError
    kind, length, _, offset, buffers, *_ = value.arguments[0]
    values = _values(budget, text_of(kind.arguments[0]), buffers, offset, length)
    if buffers[0] is None:
        return values
    valid = _bits(buffers[0], offset, length)
    return [item if there else None for item, there in zip(values, valid, strict=True)]


def _values(budget: Budget, kind: str, buffers: Any, offset: int, length: int) -> list[Value]:
    if not 0 <= length <= 8 * sum(len(buffer) for buffer in buffers if buffer) or offset < 0:
        raise ValueError
    budget.look(length)
    if kind == "bool":
        return [bool(bit) for bit in _bits(buffers[1], offset, length)]
    if kind in _OFFSETS:
        return _texts(budget, np.frombuffer(buffers[1], _OFFSETS[kind], length + 1, 0), buffers[2], offset)
    numbers = _NUMBERS.get(kind)
    if (integer := re.fullmatch(r"(u?int)(8|16|32|64)", kind)) is not None:
        numbers = f"<{integer[1][0]}{int(integer[2]) // 8}"
    if numbers is None:
        raise TypeError
    return list(np.frombuffer(buffers[1], numbers)[offset : offset + length].tolist())


def _texts(budget: Budget, ends: np.ndarray, data: bytes | None, offset: int) -> list[Value]:
    if offset:
        raise TypeError
    data = data or b""
    # The ends of a hostile file may name the same text again and again; what is copied is counted.
    lengths = np.diff(np.clip(ends, 0, len(data)))
    budget.expand(int(np.abs(lengths).sum()))
    starts = ends.tolist()
    return [data[start:end].decode("utf-8", "replace") for start, end in itertools.pairwise(starts)]


def _bits(data: bytes, offset: int, length: int) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=offset + length, bitorder="little")
    return bits[offset:]
