"""Headers of brain images: NIfTI 1 and 2, Analyze, and MGH of FreeSurfer; voxels are not read."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.compression import expanded, first_bytes
from memberscan.inspection.readers.decoding import is_text
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Picture

_MOST: Final = 16 << 20
"""Most bytes of extensions that are read."""
_SIZES: Final = {b"\x5c\1\0\0": "<", b"\0\0\1\x5c": ">"}
"""How 348, the size of a header of NIfTI 1 and Analyze, is written in both byte orders."""
_MGH_BYTES: Final = {0: 1, 1: 4, 3: 4, 4: 2, 10: 2}
"""Bytes of a voxel by the type's number."""
_WORDS: Final = re.compile(rb"[\x20-\x7e\x80-\xff]{4,}")


class Nifti:
    """A NIfTI or Analyze image, compressed or not: the text in its header and its extensions."""

    name = "NIfTI"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it begins as NIfTI does, or is named as the header of Analyze and begins so."""
        first = first_bytes(source, head)
        if first[344:347] in (b"n+1", b"ni1") or first[4:7] in (b"n+2", b"ni2"):
            return True
        return source.suffix == ".hdr" and len(first) >= 348 and first[:4] in _SIZES

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield the header's text, each extension, and the volume as a picture with its shape."""
        with expanded(source) as stream:
            first = stream.read(348)
            first += stream.read(192) if first[4:7] in (b"n+2", b"ni2") else b""
            header = _header(first)
            fields = header.structarr
            words = {
                name: bytes(fields[name]).split(b"\0")[0].decode("latin-1").strip()
                for name in fields.dtype.names
                if fields.dtype[name].kind == "S" and name != "magic"
            }
            yield Item("", words)
            shape = tuple(int(n) for n in header.get_data_shape())
            if "magic" in fields.dtype.names:
                end = int(header["vox_offset"]) if b"+" in bytes(fields["magic"]) else source.size
                yield from _extensions(source, stream, end - len(first), header.endianness)
            yield Item("", Picture("nifti", shape))


def _header(content: bytes) -> Any:
    from nibabel.analyze import AnalyzeHeader
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind: Any = Nifti1Header if content[344:347] in (b"n+1", b"ni1") else AnalyzeHeader
    if len(content) == 540:
        kind = Nifti2Header
    return kind(content, check=False)


def _extensions(source: Source, stream: IO[bytes], size: int, order: str) -> Iterator[Item | Partly | Source]:
    """Yield what is in the extensions, each of which says its size and code before its content."""
    if size > _MOST:
        yield Partly("extensions", f"they have more than {_MOST:,} bytes")
    content = stream.read(max(0, min(size, _MOST)))
    source.budget.expand(len(content))
    at = 4
    while content[:1] not in (b"", b"\0") and at + 8 <= len(content):
        length, code = np.frombuffer(content[at : at + 8], f"{order}i4").tolist()
        if length < 8:
            yield Partly("extensions", "one of them is damaged")
            return
        inner = content[at + 8 : at + length].rstrip(b"\0")
        at += length
        if is_text(inner):
            yield Item(f"extension {code}", inner.decode("utf-8", "replace"))
        elif inner:
            yield source.within(f"extension {code}", io.BytesIO(inner))


class Mgh:
    """An image of FreeSurfer, compressed or not: its shape, and the commands noted after its voxels."""

    name = "MGH"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is named as an MGH image and begins with the version 1."""
        return source.suffix in (".mgh", ".mgz") and first_bytes(source, head)[:4] == b"\0\0\0\1"

    def read(self, source: Source) -> Iterator[Item | Partly]:
        """Yield the volume as a picture, and the text after it."""
        with expanded(source) as stream:
            _, *dims, kind = np.frombuffer(stream.read(24), ">i4").tolist()
            yield Item("", Picture("mgh", tuple(dims)))
            if kind not in _MGH_BYTES or min(dims) < 0:
                yield Partly("", "its type is unknown, so that the text after its voxels is not found")
                return
            # Voxels begin at byte 284; after them are 20 bytes of times and angles, and then notes.
            left = 284 - 24 + math.prod(dims) * _MGH_BYTES[kind] + 20
            while left and (block := stream.read(min(left, 1 << 20))):
                source.budget.expand(len(block))
                left -= len(block)
            notes = stream.read(_MOST)
            for words in _WORDS.findall(notes):
                yield Item("notes", words.decode("utf-8", "replace"))
