"""The opcodes of pickles that stand for a literal: numbers, text, bytes and empty containers."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, Final

from memberscan.errors import BadInputError

Parse = Callable[[bytes], Any]

CONSTANTS: Final[dict[bytes, bool | None]] = {b"N": None, b"\x88": True, b"\x89": False}
"""Opcodes of constants."""
EMPTY: Final[dict[bytes, Callable[[], Any]]] = {b"]": list, b"}": dict, b")": tuple, b"\x8f": set}
"""Opcodes of empty containers."""
NUMBERS: Final[dict[bytes, str]] = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
"""Opcodes of numbers, with their form as the module struct writes it."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _python2_text(data: bytes) -> str | bytes:
    """Return a string of Python 2, which may be text or bytes, and does not say which."""
    return data.decode("ascii") if data.isascii() else data


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _integer_line(line: bytes) -> int | bool:
    # Protocol 0 writes Booleans as the integers 00 and 01.
    return line == b"01" if line in (b"00", b"01") else int(line.rstrip(b"L"))


def _quoted(line: bytes) -> str | bytes:
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise BadInputError("it has text without quotation marks")
    return _python2_text(codecs.escape_decode(line[1:-1])[0])


SIZED: Final[dict[bytes, tuple[str, Parse]]] = {
    b"T": ("<i", _python2_text),
    b"U": ("<B", _python2_text),
    b"X": ("<I", _text),
    b"\x8c": ("<B", _text),
    b"\x8d": ("<Q", _text),
    b"B": ("<I", bytes),
    b"C": ("<B", bytes),
    b"\x8e": ("<Q", bytes),
    b"\x96": ("<Q", bytes),
    b"\x8a": ("<B", _integer),
    b"\x8b": ("<i", _integer),
}
"""Opcodes of values that follow their size, with the form of the size and what is made of the bytes."""
LINES: Final[dict[bytes, Parse]] = {
    b"I": _integer_line,
    b"L": _integer_line,
    b"F": float,
    b"S": _quoted,
    b"V": lambda line: line.decode("raw-unicode-escape", "surrogatepass"),
}
"""Opcodes of values that are written in a line."""
