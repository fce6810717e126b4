"""Reads the bytes of a file one after the other, expanded if it is compressed, within the budget."""

from __future__ import annotations

import bz2
import importlib
import io
import lzma
import mmap
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import numpy as np

from memberscan.errors import BadInputError, MissingExtraError
from memberscan.inspection.sources import Budget, Source

_BLOCK: Final = 1 << 20
_LZMA_MEMORY: Final = 256 << 20
"""Most memory that the expansion of an lzma stream may take; the largest preset of xz needs 65 MiB."""


def mapped(source: Source) -> bytes | mmap.mmap:
    """Return all bytes of a file; one on disk is mapped, and takes no memory until it is used."""
    if isinstance(source.where, bytes):
        return source.where
    if source.size == 0:
        return b""
    with source.where.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _lz4() -> Any:
    try:
        return importlib.import_module("lz4.frame").LZ4FrameDecompressor()
    except ImportError:
        raise MissingExtraError(
            "it is compressed with lz4; install the package lz4 and inspect it again"
        ) from None


_EXPANDERS: Final[dict[bytes, Callable[[], Any]]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    b"\x78\x01": zlib.decompressobj,
    b"\x78\x5e": zlib.decompressobj,
    b"\x78\x9c": zlib.decompressobj,
    b"\x78\xda": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY),
    b"\x5d\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _LZMA_MEMORY),
    b"\x04\x22\x4d\x18": _lz4,
}
"""The compressions of gzip, zlib, bzip2, xz, lzma and lz4 by their first bytes."""


def expander(head: bytes) -> Callable[[], Any] | None:
    """Return what makes the decompressor of a file with these first bytes; None if it is not compressed."""
    return next((make for magic, make in _EXPANDERS.items() if head.startswith(magic)), None)


def expanded_head(head: bytes) -> bytes:
    """Return the first bytes of what a file holds, expanded if it is compressed; empty if it cannot be."""
    make = expander(head)
    if make is None:
        return head
    try:
        return bytes(make().decompress(head, len(head)))
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, MissingExtraError):
        return b""


class _Expanded(io.RawIOBase):
    """The expanded bytes of a compressed stream, perhaps of several one after the other."""

    def __init__(self, packed: BinaryIO, make: Callable[[], Any], budget: Budget) -> None:
        self._packed = packed
        self._make = make
        self._budget = budget
        self._expander = make()
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            data = self._some(len(buffer))
            if not data and not self._input and not self._refill():
                return 0
        self._budget.expand(len(data))
        buffer[: len(data)] = data
        return len(data)

    def _refill(self) -> bool:
        self._input = self._packed.read(_BLOCK)
        return bool(self._input)

    def _some(self, most: int) -> bytes:
        if self._expander.eof:
            if not self._input:
                return b""
            self._expander = self._make()
        # bz2, lzma and lz4 keep the input that they have not used yet, and zlib returns it.
        data: bytes = self._expander.decompress(self._input, most)
        self._input = getattr(self._expander, "unconsumed_tail", b"")
        if self._expander.eof:
            self._input = self._expander.unused_data
        return data


class _Viewed(io.RawIOBase):
    """A stream of bytes that are held or mapped elsewhere; the bytes are not copied beforehand."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


class ByteStream:
    """Reads bytes one part after the other, and never takes more memory than the file has bytes.

    Parameters
    ----------
    source
        The file. It is expanded if it is compressed by gzip, zlib, bzip2, xz, lzma or lz4.

    Raises
    ------
    MissingExtraError
        If it is compressed with lz4, and the package of that name is not installed.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.budget = source.budget
        self._raw: Any = source.open()
        self._size: int | None = source.size
        self._map: Any = None
        make = expander(self._raw.read(8))
        self._raw.seek(0)
        if make is not None:
            # A buffer is over the raw reader, since pickles are read in parts of a few bytes.
            self._raw = io.BufferedReader(_Expanded(self._raw, make, source.budget), _BLOCK)
            self._size = None

    @classmethod
    def plain(cls, source: Source) -> ByteStream:
        """Return the stream of a file as it is, also if it begins as compressed files do."""
        stream = cls.__new__(cls)
        stream.source, stream.budget = source, source.budget
        stream._raw, stream._size, stream._map = source.open(), source.size, None
        return stream

    @classmethod
    def of(cls, data: bytes | memoryview, budget: Budget) -> ByteStream:
        """Return the stream of bytes that lie within a file, as they are."""
        stream = cls.plain(Source("", 0, b"", budget))
        stream._raw, stream._size, stream._map = io.BufferedReader(_Viewed(data)), len(data), data
        return stream

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        Raises
        ------
        BadInputError
            If there are fewer.
        """
        data: bytes = self._raw.read(count) if 0 <= count < _BLOCK else self._large(count)
        if len(data) != count:
            raise BadInputError("the file ends in the middle of a value")
        return data

    def byte(self) -> bytes:
        """Return the next byte; empty at the end."""
        byte: bytes = self._raw.read(1)
        return byte

    def line(self) -> bytes:
        """Return the rest of the line without its end.

        Raises
        ------
        BadInputError
            If the file ends before the line does.
        """
        line: bytes = self._raw.readline()
        if not line.endswith(b"\n"):
            raise BadInputError("the file ends in the middle of a line")
        return line[:-1]

    def at_end(self) -> bool:
        """Return whether all bytes were read, but for a line end that some editors and old programs add."""
        if hasattr(self._raw, "peek"):
            rest = self._raw.peek(3)
        else:
            here = self.position()
            rest = self._raw.read(3)
            self.go_to(here)
        return len(rest) < 3 and not rest.strip()

    def position(self) -> int:
        """Return the number of bytes that were read, in a file that is not compressed."""
        return int(self._raw.tell())

    def go_to(self, position: int) -> None:
        """Continue at another position of a file that is not compressed."""
        self._raw.seek(position)

    def numbers(self, dtype: np.dtype[Any], count: int) -> np.ndarray:
        """Return the next ``count`` numbers, which may be mapped to the file rather than read.

        Raises
        ------
        BadInputError
            If there are fewer, or the type is not one of numbers or text.
        """
        size = count * dtype.itemsize
        if dtype.hasobject or dtype.itemsize == 0 or count < 0:
            raise BadInputError("an array has no plain numbers")
        if not size:
            return np.zeros(0, dtype)
        if self._size is None:
            return np.frombuffer(self.take(size), dtype)
        if size > self._left():
            raise BadInputError("the file ends in the middle of an array")
        if self._map is None:
            self._map = mapped(self.source)
        numbers = np.frombuffer(self._map, dtype, count, self.position())
        self._raw.seek(size, io.SEEK_CUR)
        return numbers

    def _left(self) -> int:
        return (self._size or 0) - self.position()

    def _large(self, count: int) -> bytes:
        if self._size is not None:
            return self._raw.read(count) if 0 <= count <= self._left() else b""
        blocks = []
        while count > 0 and (block := self._raw.read(min(count, _BLOCK))):
            blocks.append(block)
            count -= len(block)
        return b"".join(blocks)
