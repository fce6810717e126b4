"""Streams of compressed bytes, expanded within the budget; a damaged one gives what was there before."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, BinaryIO, Final, cast

from memberscan.inspection.sources import HEAD, Source

_OPENERS: Final[dict[bytes, Callable[[BinaryIO], IO[bytes]]]] = {
    b"\x1f\x8b\x08": lambda stream: cast(IO[bytes], gzip.GzipFile(fileobj=stream)),
    b"BZh": lambda stream: cast(IO[bytes], bz2.BZ2File(stream)),
    b"\xfd7zXZ\0": lambda stream: cast(IO[bytes], lzma.LZMAFile(stream)),  # noqa: SIM115
}
_DAMAGE: Final = (
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
)
"""What decompressors raise on damaged data; out of budget is another error, and not among them."""


class Expanded(io.RawIOBase):
    """A stream that ends where the stream within it is damaged, and remembers why.

    Parameters
    ----------
    stream
        Expands as it is read.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.damage = ""
        """Why it ended early; empty if it did not."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes and return their number, 0 at the end."""
        # One block at a time, since a longer read that meets the damage would lose the blocks before it.
        read = getattr(self._stream, "read1", self._stream.read)
        try:
            block = read(len(buffer))
        except _DAMAGE as error:
            self.damage = f"it is damaged: {error or type(error).__name__}"
            return 0
        buffer[: len(block)] = block
        return len(block)


class Metered(io.RawIOBase):
    """A stream whose expanded bytes are charged to a file's budget as they are read."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        self._stream, self._budget = stream, source.budget

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes and return their number, 0 at the end."""
        block = self._stream.read(len(buffer))
        self._budget.expand(len(block))
        buffer[: len(block)] = block
        return len(block)


def is_compressed(head: bytes) -> bool:
    """Return whether the first bytes are those of gzip, bzip2 or xz."""
    return head.startswith(tuple(_OPENERS))


def expanded(source: Source) -> IO[bytes]:
    """Return the bytes of a file, expanded if it is compressed; they are not charged to the budget.

    Only the first layer is expanded. A damaged file raises while it is read.
    """
    stream = source.open()
    head = stream.read(8)
    stream.seek(0)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return opener(stream)
    return stream


def first_bytes(source: Source, head: bytes) -> bytes:
    """Return a file's first bytes, expanded if it is compressed; none if it is damaged."""
    if not is_compressed(head):
        return head
    try:
        with expanded(source) as stream:
            return stream.read(HEAD)
    except _DAMAGE:
        return b""


def all_bytes(source: Source, most: int) -> bytes:
    """Return all bytes of a file, expanded if it is compressed, of which there may be at most ``most``.

    Raises
    ------
    TooLargeError
        If the budget is spent.
    ValueError
        If it expands to more than ``most`` bytes.
    """
    with expanded(source) as stream:
        kept = bytearray()
        while block := stream.read(1 << 20):
            source.budget.expand(len(block))
            kept += block
            if len(kept) > most:
                raise ValueError(f"it has more than {most:,} bytes; at most these are read of this format")
    return bytes(kept)
