"""Reads files of torch before version 0.1.10: a tar archive of pickles, storages and tensors."""

from __future__ import annotations

import struct
import tarfile
from typing import Final

import numpy as np

from memberscan.errors import BadInputError
from memberscan.inspection.readers.byte_stream import ByteStream, mapped
from memberscan.inspection.readers.pickle_machine import PickleMachine
from memberscan.inspection.readers.pickle_stack import text_of
from memberscan.inspection.readers.pickled_tensors import Storage, kind_of, view_of
from memberscan.inspection.readers.tensor_values import TYPES
from memberscan.inspection.readers.vocabulary import VOCABULARY
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Instance, Value

_FILES: Final = ("sys_info", "storages", "tensors", "pickle")
_MOST_AXES: Final = 64


def is_torch_tar(head: bytes) -> bool:
    """Return whether a file with these first bytes is such an archive."""
    return head[257:262] == b"ustar" and b"\0sys_info\0" in b"\0" + head


class TorchTar:
    """The files of one archive.

    Source: ``legacy_load`` in torch/serialization.py.

    Raises
    ------
    BadInputError
        If one of its files is missing or damaged.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.storages: dict[str, Storage] = {}
        """Its storages by their keys."""
        self._made: dict[str, Value] = {}
        self._content = memoryview(mapped(source))
        self._places: dict[str, tuple[int, int]] = {}
        with source.open() as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                source.budget.entry()
                if member.isreg():
                    self._places.setdefault(member.name, (member.offset_data, member.size))
        if missing := [name for name in _FILES if name not in self._places]:
            raise BadInputError(f"the archive has no file {missing[0]!r}")

    def load(self) -> PickleMachine:
        """Read storages and tensors, and return the machine of the pickle that refers to them."""
        self._read_storages(self._stream("storages"))
        self._read_tensors(self._stream("tensors"))
        return self._machine(self._stream("pickle"))

    def _stream(self, name: str) -> ByteStream:
        start, size = self._places[name]
        return ByteStream.of(self._content[start : start + size], self._source.budget)

    def _machine(self, stream: ByteStream) -> PickleMachine:
        return PickleMachine(stream, VOCABULARY, self._persistent)

    def _persistent(self, pid: Value) -> Value:
        # A tuple names a class and the text of its program; a number names a tensor or storage.
        if isinstance(pid, tuple) and pid:
            return pid[0]
        return self._made.get(text_of(pid), Instance("persistent id", (pid,)))

    def _read_storages(self, stream: ByteStream) -> None:
        for _ in range(self._machine(stream).load()):
            key, _location, kind = self._machine(stream).load()
            kind = kind_of(kind)
            (count,) = struct.unpack("<q", stream.take(8))
            content = stream.numbers(np.dtype(np.uint8), count * np.dtype(TYPES[kind]).itemsize)
            self.storages[text_of(key)] = Storage(f"torch.{kind}", content=content, kind=kind)
        self._made.update(self.storages)
        for key, root, first, count in self._machine(stream).load():
            self._made[text_of(key)] = self.storages[text_of(root)].part(first, count)

    def _read_tensors(self, stream: ByteStream) -> None:
        for _ in range(self._machine(stream).load()):
            key, storage, _kind = self._machine(stream).load()
            # The number of axes takes eight bytes, of which the format uses four.
            (axes,) = struct.unpack("<i4x", stream.take(8))
            if not 0 <= axes <= _MOST_AXES:
                raise BadInputError("a tensor has more axes than are read")
            size = struct.unpack(f"<{axes}q", stream.take(8 * axes))
            stride = struct.unpack(f"<{axes}q", stream.take(8 * axes))
            (offset,) = struct.unpack("<q", stream.take(8))
            storage = self._made[text_of(storage)]
            self._made[text_of(key)] = view_of(
                storage, offset, size, stride, storage.kind, self._source.budget
            )
