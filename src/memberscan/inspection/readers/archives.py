"""Archives and compressed files: what lies in them is inspected, and nothing is written by its name."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.compression import Expanded, Metered, expanded, first_bytes, is_compressed
from memberscan.inspection.sources import Source

_LARGEST_DIRECTORY: Final = 64 << 20
"""Most bytes of the list of files of a zip archive, which is kept in memory."""
_LARGEST_HEADER: Final = 1 << 20
"""Most bytes of the extended header of a file in a tar archive, which is kept in memory."""
_END: Final = b"PK\5\6"
_END_64: Final = b"PK\6\6"
_NAMES_AND_ATTRIBUTES: Final = frozenset(b"xgXLK")
"""Types of headers of tar archives that hold the name or the attributes of the next file."""
_SUFFIXES: Final = (".gz", ".bz2", ".xz")


class Zip:
    """A zip archive, such as a wheel, a document of an office program, or a Keras model."""

    name = "zip archive"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as a zip archive does."""
        return head.startswith((b"PK\3\4", _END))

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield the files in it, and why others are not read."""
        with source.open() as stream:
            check_directory(stream)
            with zipfile.ZipFile(stream) as archive:
                if archive.comment:
                    yield Item("comment", archive.comment.decode("utf-8", "replace"))
                for entry in archive.infolist():
                    if not entry.is_dir():
                        yield from _zipped(source, archive, entry)


def _zipped(source: Source, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[Partly | Source]:
    name = entry.filename
    if entry.flag_bits & 1:
        yield Partly(name, "it is encrypted")
    elif stat.S_ISLNK(entry.external_attr >> 16):
        yield Partly(name, "it is a link, which is not followed")
    else:
        try:
            # The archive opens it lazily, but checks its local header and its kind of compression.
            file = archive.open(entry)
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            yield Partly(name, f"it cannot be expanded: {error}")
            return
        with file:
            yield from _as_far_as_whole(source, name, Expanded(file))


def _as_far_as_whole(source: Source, name: str, stream: Expanded) -> Iterator[Partly | Source]:
    inner = source.within(name, cast(IO[bytes], stream))
    if inner.size or not stream.damage:
        yield inner
    if stream.damage:
        yield Partly(name, stream.damage)


def check_directory(stream: BinaryIO) -> None:
    """Refuse a list of files that would not fit into memory, before it is read."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - (1 << 16) - 100))
    tail = stream.read()
    stream.seek(0)
    # The size of the list stands 12 bytes after the mark of its end, or 40 after that of large archives.
    for mark, offset, length in ((_END, 12, 4), (_END_64, 40, 8)):
        at = tail.rfind(mark)
        declared = int.from_bytes(tail[at + offset : at + offset + length], "little") if at >= 0 else 0
        if declared != 0xFFFFFFFF and declared > _LARGEST_DIRECTORY:
            raise TooLargeError("its list of files is too large; unpack it and inspect its parts")


class _Member(tarfile.TarInfo):
    """A file of a tar archive whose extended headers are of bounded size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """Return the member that a header describes."""
        member = super().frombuf(buf, encoding, errors)
        if member.type[0] in _NAMES_AND_ATTRIBUTES and member.size > _LARGEST_HEADER:
            raise TooLargeError("a header in it is too large")
        return member


class Tar:
    """A tar archive, plain or compressed."""

    name = "tar archive"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it begins as a tar archive does, once it is expanded."""
        first = first_bytes(source, head)
        if first[257:262] == b"ustar":
            return True
        # Archives before POSIX have no mark, but a checksum: of 512 bytes, of which its own count as spaces.
        digits = first[148:156].strip(b" \0")
        if len(first) < 512 or not first[0] or not digits.isdigit() or digits.strip(b"01234567"):
            return False
        return sum(first[:148]) + sum(first[156:512]) + 8 * 32 == int(digits, 8)

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield the files in it, and why others are not read."""
        with expanded(source) as raw:
            stream = Expanded(Metered(raw, source) if is_compressed(source_head(source)) else raw)  # type: ignore[arg-type]
            with tarfile.open(
                fileobj=stream, mode="r|", tarinfo=_Member, encoding="utf-8", errors="replace"
            ) as tar:
                try:
                    for member in tar:
                        yield from _archived(source, tar, member)
                except tarfile.TarError as error:
                    yield Partly("", f"it is damaged: {error}")
            if stream.damage:
                yield Partly("", stream.damage)


def source_head(source: Source) -> bytes:
    """Return the first bytes of a file."""
    with source.open() as stream:
        return stream.read(8)


def _archived(source: Source, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[Partly | Source]:
    tar.members.clear()  # type: ignore[attr-defined]
    if member.isreg():
        file = tar.extractfile(member)
        assert file is not None
        yield from _as_far_as_whole(source, member.name, Expanded(file))
        return
    source.budget.entry()
    if member.issym() or member.islnk():
        yield Partly(member.name, "it is a link, which is not followed")
    elif not member.isdir():
        yield Partly(member.name, "it is a device or another special file")


class Compressed:
    """A single file compressed by gzip, bzip2 or xz."""

    name = "compressed file"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as a compressed file does."""
        return is_compressed(head)

    def read(self, source: Source) -> Iterator[Partly | Source]:
        """Yield the file in it."""
        name = Path(source.name.rpartition("!")[2]).name
        with expanded(source) as stream:
            inner = name[: -len(source.suffix)] if source.suffix in _SUFFIXES else name
            yield from _as_far_as_whole(source, inner, Expanded(stream))


class Packed:
    """Archives in formats that are not read: 7z, rar, Zstandard, lz4 and compress."""

    name = "packed file"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as one of them does."""
        return head.startswith(
            (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x1f\x9d")
        )

    def read(self, source: Source) -> Iterator[Partly]:  # noqa: ARG002
        """Yield that it is not read."""
        yield Partly("", "archives of this format are not read; unpack it and inspect its parts")
