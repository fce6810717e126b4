"""Reads files of torch, of its zip format, of TorchScript and of its older format, without torch."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from typing import Final

from memberscan.errors import BadInputError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_machine import PickleMachine
from memberscan.inspection.readers.pickle_stack import text_of
from memberscan.inspection.readers.pickled_tensors import Storage, kind_of, rest_of
from memberscan.inspection.readers.torch_legacy import MAGIC_BYTES, read_legacy
from memberscan.inspection.readers.torch_tar import TorchTar, is_torch_tar
from memberscan.inspection.readers.vocabulary import VOCABULARY
from memberscan.inspection.readers.zip_entries import ZipEntries
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Instance, Value

_TAIL: Final = 1 << 16
_PICKLES: Final = {"data.pkl": "data/", "constants.pkl": "constants/"}
"""The pickles of an archive, and the folders of their storages."""
_FACTS: Final = {"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"}


class TorchFile:
    """Files that ``torch.save`` or ``torch.jit.save`` wrote."""

    name = "torch"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        if MAGIC_BYTES in head[:32] or is_torch_tar(head):
            return True
        return head.startswith(b"PK\x03\x04") and _root(source, head) is not None

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        with source.open() as stream:
            head = stream.read(_TAIL)
        if is_torch_tar(head):
            yield from _tar(source)
            return
        root = _root(source, head)
        yield from _legacy(source) if root is None else _TorchArchive(source, root).read()


def _root(source: Source, head: bytes) -> str | None:
    """Return the folder of an archive in which the files of torch lie; None if it is no archive of torch."""
    with source.open() as stream:
        stream.seek(max(source.size - _TAIL, 0))
        tail = stream.read()
    # Most archives are not of torch; their directory is not read.
    if b"data.pkl" not in head and b"data.pkl" not in tail:
        return None
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return None
    roots = (name.removesuffix("data.pkl") for name in names if name.rpartition("/")[2] == "data.pkl")
    return next(
        (root for root in sorted(roots) if f"{root}version" in names or f"{root}byteorder" in names), None
    )


def _tar(source: Source) -> Iterator[Item | Partly]:
    archive = TorchTar(source)
    machine = archive.load()
    yield Item("", machine.load())
    yield from rest_of(archive.storages.items(), source.budget)
    if machine.discarded:
        yield Item("aside", machine.discarded)


def _legacy(source: Source) -> Iterator[Item | Partly]:
    stream, machines = ByteStream.plain(source), []

    def machine(part: ByteStream, persistent: Callable[[Value], Value] | None) -> PickleMachine:
        machines.append(PickleMachine(part, VOCABULARY, persistent))
        return machines[-1]

    value, storages = read_legacy(stream, machine)
    yield Item("", value)
    yield from rest_of(storages.items(), source.budget)
    if aside := machines[-1].discarded:
        yield Item("aside", aside)
    if not stream.at_end():
        yield Partly("", "bytes follow the last storage")


class _TorchArchive:
    """The files of one archive."""

    def __init__(self, source: Source, root: str) -> None:
        self._source = source
        self._root = root
        self._zip = ZipEntries(source)
        self._files = {entry.filename: entry for entry in self._zip.entries}
        self._storages: dict[str, Storage] = {}
        self._order = ">" if self._bytes("byteorder") == b"big" else "<"

    def read(self) -> Iterator[Item | Partly | Source]:
        """Yield the values of the pickles, what storages hold beside them, and all other files."""
        for name, folder in _PICKLES.items():
            if self._root + name in self._files:
                yield from self._values(name, folder)
        yield from rest_of(self._storages.items(), self._source.budget)
        own = {self._root + name for name in (*_PICKLES, *_FACTS)}
        for entry in self._zip.entries:
            name = entry.filename
            if self._files[name] is not entry:
                yield Partly(name, "the archive holds another file of the same name")
            elif name in own or name.removeprefix(self._root) in self._storages:
                continue
            elif name.startswith((f"{self._root}data/", f"{self._root}constants/")):
                yield Partly(name, "no tensor refers to these bytes")
            else:
                yield self._zip.inner(entry)

    def _values(self, name: str, folder: str) -> Iterator[Item | Partly]:
        stream = ByteStream.of(self._bytes(name), self._source.budget)
        machine = PickleMachine(stream, VOCABULARY, lambda pid: self._stored(pid, folder))
        place = "" if name == "data.pkl" else name
        try:
            value = machine.load()
        except Exception:
            yield Item(place, machine.parts())
            raise
        yield Item(place, value)
        if not stream.at_end():
            yield Partly(name, "bytes follow the pickle")
        if machine.discarded:
            yield Item(f"{place} aside".strip(), machine.discarded)

    def _bytes(self, name: str) -> bytes:
        entry = self._files.get(self._root + name)
        return b"" if entry is None else self._zip.content(entry).tobytes()

    def _stored(self, pid: Value, folder: str) -> Value:
        """Return the storage that a persistent id stands for."""
        if not isinstance(pid, tuple) or len(pid) < 3 or pid[0] != "storage":
            return Instance("persistent id", (pid,))
        name = folder + text_of(pid[2])
        if name not in self._storages:
            entry = self._files.get(self._root + name)
            if entry is None:
                raise BadInputError(f"it refers to the storage {name!r}, which is not in it")
            try:
                kind = kind_of(pid[1])
            except TypeError:
                # Its bytes are reported as those that no tensor refers to.
                return Instance("persistent id", (pid,))
            content = self._zip.content(entry)
            self._storages[name] = Storage(f"torch.{kind}", content=content, kind=kind, order=self._order)
        return self._storages[name]
