"""The wire format of protocol buffers, read field by field without a schema."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES: Final = {FIXED64: 8, FIXED32: 4}


class WireField(NamedTuple):
    """A field of a message."""

    number: int
    """Its number in the schema."""
    wire: int
    """How it is written: as a varint, as 8 or 4 bytes, or as bytes of any number."""
    integer: int
    """The value of a varint, else 0."""
    data: memoryview
    """The bytes of any other field, not copied."""


def fields(message: memoryview) -> Iterator[WireField]:
    """Yield the fields of a message in their order.

    Source of the format: protobuf.dev, "Encoding". Groups, which nobody writes any more, are refused.

    Raises
    ------
    ValueError
        If a field is cut, or is of no known kind.
    """
    at = 0
    none = message[:0]
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield WireField(number, wire, value, none)
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        elif wire in _SIZES:
            size = _SIZES[wire]
        else:
            raise ValueError(f"a field of unknown kind {wire}")
        if at + size > len(message):
            raise ValueError("a field is longer than its message")
        yield WireField(number, wire, 0, message[at : at + size])
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return an integer written in bytes of 7 bits, the lowest first, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("an integer is cut or too long")


def text(field: WireField) -> str:
    """Return the text of a field."""
    return bytes(field.data).decode("utf-8", "replace")


def signed(value: int) -> int:
    """Return an integer of 64 bits in two's complement."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def integers(found: list[WireField]) -> np.ndarray:
    """Return the int64 values of a repeated field, packed or not."""
    return np.concatenate([np.array([], np.int64), *map(_integers_of, found)])


def _integers_of(field: WireField) -> np.ndarray:
    if field.wire == VARINT:
        return np.array([signed(field.integer)])
    data = np.frombuffer(field.data, np.uint8)
    if not len(data):
        return np.array([], np.int64)
    # A varint ends at a byte below 128. Its bytes hold 7 bits each, so each is shifted by 7 times its place
    # since the last end, and the sums between ends are the values, modulo 2^64 as in two's complement.
    ends = np.flatnonzero(data < 128)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise ValueError("a list of integers is cut")
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    if places.max() > 9:
        raise ValueError("an integer is too long")
    parts = (data & 127).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.add.reduceat(parts, starts).view(np.int64)


def numbers(found: list[WireField], kind: str) -> np.ndarray:
    """Return the values of a repeated field of fixed size, packed or not: "<f4", "<f8" and so on."""
    if len(found) == 1:
        data = found[0].data
        return np.frombuffer(data[: len(data) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)
    return np.frombuffer(b"".join(field.data for field in found), kind)


def number(field: WireField) -> float:
    """Return a float of 4 bytes."""
    return float(struct.unpack("<f", field.data)[0])
