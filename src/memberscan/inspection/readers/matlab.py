"""MATLAB files of versions 4 to 7; version 7.3 is HDF5."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.matlab_elements import COMPRESSED, MATRIX, Element, Matrices, elements
from memberscan.inspection.sources import Source

_LARGEST: Final = 2 << 30
_OPAQUE: Final = "objects of MATLAB's classes are not read; save them as structs, or tables as CSV"
_KINDS: Final = ("f8", "f4", "i4", "i2", "u2", "u1")
"""Types of the values of version 4 by their numbers."""


class Matlab:
    """A MATLAB file of version 4, 6 or 7, by the published description of the format.

    A struct becomes a dictionary, an array of structs a table, a cell array a list. Tables and other objects
    of MATLAB's classes are written in a way that is not published, and are not read. The reader of scipy is
    not used, since a damaged file can make it end the whole process.
    """

    name = "MATLAB"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it begins as version 6 or 7 does, or is named so and begins as version 4 does."""
        if head[124:128] in (b"\0\1IM", b"\1\0MI"):
            return True
        return source.suffix == ".mat" and len(head) >= 20 and bool(_order_of_version_4(head))

    def read(self, source: Source) -> Iterator[Item | Partly]:
        """Yield the variables, and the text of the header."""
        content = memoryview(source.read(_LARGEST))
        if order := _order_of_version_4(content):
            yield from _version_4(content, order)
            return
        yield Item("header", bytes(content[:116]).rstrip(b" \0").decode("latin-1"))
        order = "<" if bytes(content[126:128]) == b"IM" else ">"
        for number, element in enumerate(elements(content[128:], order)):
            try:
                yield from _variable(source, element, order)
            except (ValueError, zlib.error, UnicodeDecodeError) as error:
                yield Partly(f"variable {number + 1}", f"it is damaged: {error}")


def _variable(source: Source, element: Element, order: str) -> Iterator[Item | Partly]:
    if element.kind == COMPRESSED:
        element = next(elements(_expanded(source, element.data), order))
    if element.kind != MATRIX:
        return
    matrices = Matrices(order, source.budget)
    name, value = matrices.read(element.data)
    if not name:
        # What has no name holds the objects of classes.
        yield Partly("workspace of objects", _OPAQUE)
        return
    if value is not None:
        yield Item(name, value)
    if matrices.opaque:
        yield Partly(name, _OPAQUE)


def _expanded(source: Source, data: memoryview) -> memoryview:
    """Return the bytes of a compressed variable, within the budget."""
    expander = zlib.decompressobj()
    kept, left = bytearray(), bytes(data)
    while left and not expander.eof:
        block = expander.decompress(left, 1 << 20)
        source.budget.expand(len(block))
        kept += block
        left = expander.unconsumed_tail
    return memoryview(bytes(kept))


def _order_of_version_4(head: bytes | memoryview) -> str:
    """Return the byte order if a file begins with the five numbers of version 4; empty if it does not."""
    for order in "<>":
        kind, rows, columns, imaginary, length = np.frombuffer(head[:20], f"{order}i4").tolist()
        # Thousands of the kind tell the byte order, tens the type, ones whether it is text.
        fits = kind // 1000 == (order == ">") and kind % 1000 // 10 < len(_KINDS) and kind % 10 < 3
        if fits and kind >= 0 and min(rows, columns) >= 0 and imaginary in (0, 1) and 0 < length < 64:
            return order
    return ""


def _version_4(content: memoryview, order: str) -> Iterator[Item | Partly]:
    """Yield the variables; a sparse one as the table of rows, columns and values as which it is written."""
    at = 0
    while len(content) - at >= 20:
        kind, rows, columns, imaginary, length = np.frombuffer(content[at : at + 20], f"{order}i4").tolist()
        if not 0 <= kind % 1000 // 10 < len(_KINDS) or min(rows, columns, length) < 0:
            raise ValueError("a header in it is damaged")
        at += 20
        name = bytes(content[at : at + length]).rstrip(b"\0").decode("latin-1")
        at += length
        data_type = np.dtype(order + _KINDS[kind % 1000 // 10])
        size = math.prod((rows, columns)) * data_type.itemsize
        parts = content[at : at + size], content[at + size : at + size * (1 + imaginary)]
        at += size * (1 + imaginary)
        if at > len(content):
            yield Partly(name, "it is cut")
            return
        values = [
            np.frombuffer(part, data_type).reshape((rows, columns), order="F") for part in parts if len(part)
        ]
        found = values[0] if values else np.zeros((rows, columns))
        if kind % 10 == 1:
            lines = ["".join(chr(int(code)) for code in row if 0 < code < 0x110000).rstrip() for row in found]
            yield Item(name, lines[0] if len(lines) == 1 else lines)
        else:
            yield Item(name, found + 1j * values[1] if imaginary and len(values) > 1 else found)
