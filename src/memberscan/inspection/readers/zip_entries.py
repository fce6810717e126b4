"""The files in a zip archive as bytes that are mapped where they are stored without compression."""

from __future__ import annotations

import mmap
import struct
import zipfile
from typing import IO, Final

import numpy as np

from memberscan.errors import BadInputError
from memberscan.inspection.readers.byte_stream import mapped
from memberscan.inspection.sources import Source

_HEADER: Final = 30
_BLOCK: Final = 1 << 20


class ZipEntries:
    """The files of an archive, in the order of its directory.

    Parameters
    ----------
    source
        The archive.

    Raises
    ------
    zipfile.BadZipFile
        If it is damaged.
    TooLargeError
        If it holds too many files.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._archive = zipfile.ZipFile(source.open())
        self._map: bytes | mmap.mmap | None = None
        self.entries = [entry for entry in self._archive.infolist() if not entry.is_dir()]
        """Its files."""
        for _ in self.entries:
            source.budget.entry()

    def open(self, entry: zipfile.ZipInfo) -> IO[bytes]:
        """Return a stream of a file's expanded bytes."""
        return self._archive.open(entry)

    def inner(self, entry: zipfile.ZipInfo) -> Source:
        """Return the source of a file."""
        with self.open(entry) as stream:
            return self._source.within(entry.filename, stream)

    def content(self, entry: zipfile.ZipInfo) -> np.ndarray:
        """Return the bytes of a file, of shape (size,); they are mapped if they are not compressed."""
        if entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1:
            return self._stored(entry)
        blocks = bytearray()
        with self.open(entry) as stream:
            while block := stream.read(_BLOCK):
                self._source.budget.expand(len(block))
                blocks += block
        return np.frombuffer(blocks, np.uint8)

    def _stored(self, entry: zipfile.ZipInfo) -> np.ndarray:
        if self._map is None:
            self._map = mapped(self._source)
        header = bytes(self._map[entry.header_offset : entry.header_offset + _HEADER])
        if len(header) < _HEADER or header[:4] != b"PK\x03\x04":
            raise BadInputError("a file in the archive is not where its directory says")
        # A file's bytes follow its own header, its name and an extra field, whose sizes are in the header.
        name, extra = struct.unpack("<HH", header[26:30])
        start = entry.header_offset + _HEADER + name + extra
        if start + entry.file_size > self._source.size:
            raise BadInputError("the archive ends in the middle of a file")
        return np.frombuffer(self._map, np.uint8, entry.file_size, start)
