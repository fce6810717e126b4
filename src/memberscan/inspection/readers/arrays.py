"""Reads numpy's files of arrays, npy and npz, mapped where they are on disk; unpickles no objects."""

from __future__ import annotations

import ast
import math
import re
import zipfile
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from memberscan.errors import BadInputError
from memberscan.inspection.readers.array_values import as_values
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_machine import PickleMachine
from memberscan.inspection.readers.pickled_arrays import shape_of, shaped
from memberscan.inspection.readers.vocabulary import VOCABULARY
from memberscan.inspection.readers.zip_entries import ZipEntries
from memberscan.inspection.sources import Source

_MAGIC: Final = b"\x93NUMPY"
_LONGEST_HEADER: Final = 1 << 20


class Npy:
    """A file of one array, or of several one after the other."""

    name = "npy"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        return head.startswith(_MAGIC)

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        stream = ByteStream(source)
        number, ended = 0, False
        while not ended:
            yield from _array(stream, f"[{number}]" if number else "")
            number, ended = number + 1, stream.at_end()


class Npz:
    """An archive of arrays by their names."""

    name = "npz"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        # The name in the header of the first file ends in ".npy"; the file's bytes follow it and a field that
        # makes room for large files.
        if not head.startswith(b"PK\x03\x04"):
            return False
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return name.endswith(b".npy") or source.suffix == ".npz"

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        files = ZipEntries(source)
        for entry in files.entries:
            if not entry.filename.endswith(".npy"):
                yield files.inner(entry)
                continue
            try:
                content = files.content(entry)
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
                yield Partly(entry.filename, str(error))
                continue
            yield from _array(ByteStream.of(content.data, source.budget), entry.filename[:-4])


def _array(stream: ByteStream, place: str) -> Iterator[Item]:
    """Yield the array that begins at the position of a stream."""
    dtype, shape, fortran = _header(stream)
    if dtype.hasobject:
        machine = PickleMachine(stream, VOCABULARY)
        yield Item(place, machine.load())
        if machine.discarded:
            yield Item(f"{place} aside".strip(), machine.discarded)
        return
    numbers = stream.numbers(dtype, math.prod(shape))
    yield Item(place, as_values(shaped(numbers, shape, fortran), dtype, stream.budget))


def _header(stream: ByteStream) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Return the type and the shape of an array, and whether it is in the order of Fortran.

    Source: the format of numpy.lib.format: magic, version, size of the header, and a dictionary of Python.
    """
    if stream.take(6) != _MAGIC:
        raise BadInputError("it is not an array of numpy")
    major, _ = stream.take(2)
    size = int.from_bytes(stream.take(2 if major == 1 else 4), "little")
    if size > _LONGEST_HEADER:
        raise BadInputError("the header of an array is longer than is read")
    text = stream.take(size).decode("utf-8" if major > 2 else "latin-1")
    try:
        # Python 2 wrote long integers as "2L".
        header = ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text.strip()))
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        return dtype, shape_of(header["shape"]), bool(header["fortran_order"])
    except (SyntaxError, ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
        raise BadInputError("the header of an array is damaged") from error
