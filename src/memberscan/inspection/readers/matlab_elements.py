"""Elements of MATLAB files of versions 6 and 7: arrays, text, cells and structs.

Source: The MathWorks, "MAT-File Format" (R2019b), chapter 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from memberscan.errors import TooLargeError
from memberscan.inspection.sources import Budget
from memberscan.inspection.values import Columns, Instance

MATRIX: Final = 14
COMPRESSED: Final = 15
_NUMBERS: Final = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
    18: "u4",
}
"""Types of the values in an element by its kind; the last three are text in UTF-8, UTF-16 and UTF-32."""
_CLASSES: Final = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
"""Types of arrays by their class; values may be written in a smaller type."""
_CELL, _STRUCT, _OBJECT, _TEXT, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_UTF_8: Final = 16
_DEEPEST: Final = 50


class Element(NamedTuple):
    """A tagged part of a file."""

    kind: int
    data: memoryview


def elements(content: memoryview, order: str) -> Iterator[Element]:
    """Yield the elements in some bytes.

    Parameters
    ----------
    content
        The bytes, not copied.
    order
        Byte order: "<" or ">".

    Raises
    ------
    ValueError
        If one is cut.
    """
    at = 0
    while at + 8 <= len(content):
        kind, size = np.frombuffer(content[at : at + 8], f"{order}u4").tolist()
        if kind >> 16:
            # A small element has its size in the upper half of the first word, and its data in the second.
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = at + 4, at + 8
        else:
            # All others but compressed ones are filled up to a multiple of 8 bytes.
            start = at + 8
            end = start + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > len(content):
            raise ValueError("an element is cut")
        yield Element(kind, content[start : start + size])
        at = end


class Matrices:
    """Reads arrays of all classes.

    Parameters
    ----------
    order
        Byte order: "<" or ">".
    budget
        Charged with every array.
    """

    def __init__(self, order: str, budget: Budget) -> None:
        self._order, self._budget = order, budget
        self.opaque = False
        """Whether there was one of a class that is not read."""

    def read(self, data: memoryview, depth: int = 0) -> tuple[str, Any]:
        """Return the name and the value of an array; no value if it is of a class that is not read.

        Raises
        ------
        ValueError
            If it is damaged.
        TooLargeError
            If the budget is spent, or arrays are nested too deeply.
        """
        if depth > _DEEPEST:
            raise TooLargeError("its cells are nested too deeply")
        self._budget.look()
        self._budget.in_time()
        parts = elements(data, self._order)
        try:
            flags = int(self._numbers(next(parts))[0])
            kind = flags & 255
            if kind in (_FUNCTION, _OPAQUE):
                self.opaque = True
                named = next(parts) if kind == _OPAQUE else [next(parts), next(parts)][1]
                return _name(named), None
            shape = [int(n) for n in self._numbers(next(parts))]
            name = _name(next(parts))
            return name, self._value(kind, bool(flags & 0x800), shape, parts, depth)
        except (StopIteration, IndexError):
            raise ValueError("an array is cut") from None

    def _value(
        self, kind: int, imaginary: bool, shape: list[int], parts: Iterator[Element], depth: int
    ) -> Any:
        if kind == _CELL:
            cells = [self.read(next(parts).data, depth + 1)[1] for _ in range(_count(shape))]
            return _rows(cells, shape)
        if kind == _OBJECT:
            class_name = _name(next(parts))
            fields = self._struct(shape, parts, depth)
            return Instance(class_name, state=fields if isinstance(fields, dict) else {"items": fields})
        if kind == _STRUCT:
            return self._struct(shape, parts, depth)
        if kind == _TEXT:
            return self._text(next(parts), shape)
        if kind == _SPARSE:
            return self._sparse(imaginary, shape, parts)
        if kind not in _CLASSES:
            raise ValueError(f"an array of unknown class {kind}")
        values = self._numbers(next(parts)).astype(_CLASSES[kind])
        if imaginary:
            values = values + 1j * self._numbers(next(parts))
        return values.reshape(shape, order="F") if math.prod(shape) == len(values) else values

    def _struct(self, shape: list[int], parts: Iterator[Element], depth: int) -> Any:
        """Return one struct as a dictionary, several as a table of their fields."""
        length = int(self._numbers(next(parts))[0])
        names = bytes(next(parts).data)
        if length <= 0:
            return {}
        fields = [
            names[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), length)
        ]
        count = _count(shape) if fields else 0
        found: dict[str, list[Any]] = {name: [] for name in fields}
        for _ in range(count):
            for name in fields:
                found[name].append(self.read(next(parts).data, depth + 1)[1])
        if count == 1:
            return {name: values[0] for name, values in found.items()}
        return Columns({name: [_scalar(value) for value in values] for name, values in found.items()})

    def _text(self, element: Element, shape: list[int]) -> Any:
        """Return text, of several rows as a list; rows are filled with spaces to the same length."""
        if element.kind == _UTF_8:
            letters = [*bytes(element.data).decode("utf-8", "replace")]
        else:
            codes = self._numbers(element).astype(f"{self._order}u2").tobytes()
            letters = [*codes.decode("utf-16-le" if self._order == "<" else "utf-16-be", "replace")]
        if len(shape) != 2 or shape[0] == 1 or math.prod(shape) != len(letters) or not letters:
            return "".join(letters).rstrip(" ")
        return ["".join(letters[row :: shape[0]]).rstrip(" ") for row in range(shape[0])]

    def _sparse(self, imaginary: bool, shape: list[int], parts: Iterator[Element]) -> dict[str, Any]:
        """Return the rows, columns and values of what is not zero.

        The second list has, for each column, where its values begin, and at its end their number.
        """
        rows, starts, values = (self._numbers(next(parts)) for _ in range(3))
        if imaginary:
            values = values + 1j * self._numbers(next(parts))
        counts = np.diff(starts)
        if len(counts) and (counts.min() < 0 or counts.sum() > len(rows)):
            raise ValueError("a sparse array is damaged")
        columns = np.repeat(np.arange(len(counts)), counts)
        used = len(columns)
        return {"row": rows[:used], "column": columns, "value": values[:used], "shape": shape}

    def _numbers(self, element: Element) -> np.ndarray:
        if element.kind not in _NUMBERS:
            raise ValueError(f"values of unknown type {element.kind}")
        kind = np.dtype(self._order + _NUMBERS[element.kind])
        return np.frombuffer(element.data[: len(element.data) // kind.itemsize * kind.itemsize], kind)


def _name(element: Element) -> str:
    return bytes(element.data).rstrip(b"\0").decode("utf-8", "replace")


def _count(shape: list[int]) -> int:
    if min(shape, default=0) < 0:
        raise ValueError("an array has a negative size")
    return math.prod(shape)


def _rows(cells: list[Any], shape: list[int]) -> list[Any]:
    """Return the cells of one row or column as a list, those of several as a list of rows."""
    if len(shape) != 2 or min(shape) <= 1:
        return cells
    return [cells[row :: shape[0]] for row in range(shape[0])]


def _scalar(value: Any) -> Any:
    """Return an array of one number as the number."""
    return value.ravel()[0].item() if isinstance(value, np.ndarray) and value.size == 1 else value
