"""Objects of a git repository, loose and packed, read from their files within a budget.

Sources: the documentation of git, "gitformat-pack" and "gitrepository-layout".
"""

from __future__ import annotations

import os
import stat
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from memberscan.errors import TooLargeError
from memberscan.inspection.sources import Budget

_LARGEST: Final = 1 << 30
"""Most bytes of an object."""
_KEPT: Final = 64 << 20
"""Bytes of packed objects that are kept, since others are written as their differences to them."""
_LONGEST_CHAIN: Final = 5000
_TYPES: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_BY_OFFSET, _BY_DIGEST = 6, 7
"""Types of objects that are written as differences to another."""
_BLOCK: Final = 1 << 16


def regular_files(folder: Path) -> Iterator[Path]:
    """Yield the regular files in a folder, in order, without following links."""
    for where, folders, files in () if folder.is_symlink() else os.walk(folder):
        folders.sort()
        for file in sorted(files):
            if stat.S_ISREG((Path(where) / file).lstat().st_mode):
                yield Path(where) / file


class _Entry(NamedTuple):
    kind: int
    size: int
    start: int
    """Where its compressed content begins."""
    base: int
    """Where the entry begins to which it is a difference; 0 if it is whole."""


class Pack:
    """A file of many objects, with its index.

    Parameters
    ----------
    path
        The file ``*.pack``; its index is beside it.
    budget
        Charged with what is expanded.

    Raises
    ------
    ValueError
        If it has no index, or one of another version.
    """

    def __init__(self, path: Path, budget: Budget) -> None:
        index = path.with_suffix(".idx")
        if not index.exists() or index.is_symlink():
            raise ValueError("it has no index; run git index-pack on it")
        self._content = np.memmap(path, np.uint8, "r").data
        self._budget = budget
        self.offsets = _offsets(index.read_bytes())
        """Where each object begins, by its hexadecimal digest."""
        self._known: OrderedDict[int, bytes] = OrderedDict()

    def kind(self, digest: str) -> str:
        """Return the type of an object, without expanding it."""
        return _TYPES[self._chain(self.offsets[digest])[-1].kind]

    def read(self, digest: str) -> bytes:
        """Return the content of an object.

        Raises
        ------
        TooLargeError
            If the budget is spent.
        ValueError
            If it is damaged.
        """
        at = self.offsets[digest]
        chain = self._chain(at)
        starts = [at, *(entry.base for entry in chain[:-1])]
        # The nearest object of the chain that is kept, or its end, is the one to begin with.
        first = next((i for i, start in enumerate(starts) if start in self._known), len(chain) - 1)
        content = self._known.get(starts[first])
        if content is None:
            content = self._expanded(chain[first])
        self._keep(starts[first], content)
        for i in reversed(range(first)):
            content = _changed(content, self._expanded(chain[i]), self._budget)
            self._keep(starts[i], content)
        return content

    def _keep(self, at: int, content: bytes) -> None:
        self._known[at] = content
        self._known.move_to_end(at)
        while sum(map(len, self._known.values())) > _KEPT and len(self._known) > 1:
            self._known.popitem(last=False)

    def _chain(self, at: int) -> list[_Entry]:
        """Return an entry, the one to which it is a difference, and so on to a whole one."""
        chain = [self._entry(at)]
        while chain[-1].base:
            chain.append(self._entry(chain[-1].base))
            if len(chain) > _LONGEST_CHAIN:
                raise ValueError("its differences are in too long a chain")
        return chain

    def _entry(self, at: int) -> _Entry:
        content = self._content
        byte = content[at]
        kind, size, here = byte >> 4 & 7, byte & 15, at + 1
        shift = 4
        while byte & 128:
            byte = content[here]
            size |= (byte & 127) << shift
            shift, here = shift + 7, here + 1
        if size > _LARGEST or shift > 70:
            raise ValueError("an object in it is too large")
        if kind == _BY_DIGEST:
            return _Entry(kind, size, here + 20, self.offsets[bytes(content[here : here + 20]).hex()])
        if kind != _BY_OFFSET:
            return _Entry(kind, size, here, 0)
        # The distance is written in 7 bits a byte, the highest first, each continued byte counting one more.
        byte = content[here]
        distance, here = byte & 127, here + 1
        while byte & 128:
            byte = content[here]
            distance, here = (distance + 1) << 7 | byte & 127, here + 1
        if not 0 < distance < at:
            raise ValueError("a difference is to nothing")
        return _Entry(kind, size, here, at - distance)

    def _expanded(self, entry: _Entry) -> bytes:
        self._budget.expand(entry.size)
        expander, kept, at = zlib.decompressobj(), bytearray(), entry.start
        while not expander.eof and len(kept) <= entry.size and at < len(self._content):
            left = bytes(self._content[at : at + _BLOCK])
            at += _BLOCK
            while left and len(kept) <= entry.size:
                kept += expander.decompress(left, entry.size + 1 - len(kept))
                left = expander.unconsumed_tail
        if len(kept) != entry.size:
            raise ValueError("an object in it is not as long as it says")
        return bytes(kept)


def _offsets(index: bytes) -> dict[str, int]:
    """Return where each object begins: versions 1 and 2 of the index."""
    if index[:8] != b"\xfftOc\0\0\0\2":
        if index[:4] == b"\xfftOc":
            raise ValueError("its index is of an unknown version")
        count = int.from_bytes(index[1020:1024], "big")
        rows = [index[1024 + 24 * i : 1048 + 24 * i] for i in range(min(count, len(index) // 24))]
        return {row[4:].hex(): int.from_bytes(row[:4], "big") for row in rows}
    count = int.from_bytes(index[1028:1032], "big")
    # After the digests of 20 bytes and checksums of 4 are the offsets of 4, and then those that need 8.
    digests, short, long = 1032, 1032 + 24 * count, 1032 + 28 * count
    if long + 40 > len(index):
        raise ValueError("its index is cut")
    found = {}
    for i, at in enumerate(np.frombuffer(index, ">u4", count, short).tolist()):
        if at >> 31:
            start = long + 8 * (at & 0x7FFFFFFF)
            at = int.from_bytes(index[start : start + 8], "big")
        found[index[digests + 20 * i : digests + 20 * (i + 1)].hex()] = at
    return found


def _changed(base: bytes, change: bytes, budget: Budget) -> bytes:
    """Return an object that is written as its difference to another: parts copied from it, and new parts."""
    before, at = _size(change, 0)
    after, at = _size(change, at)
    if before != len(base) or after > _LARGEST:
        raise ValueError("a difference is to another object")
    budget.expand(after)
    made = bytearray()
    while at < len(change) and len(made) <= after:
        order = change[at]
        at += 1
        if not order & 128:
            made += change[at : at + order]
            at += order
            continue
        # Bits 0 to 3 say which bytes of the start follow, bits 4 to 6 which bytes of the length.
        values = [0] * 7
        for bit in range(7):
            if order >> bit & 1 and at < len(change):
                values[bit] = change[at]
                at += 1
        start = int.from_bytes(bytes(values[:4]), "little")
        length = int.from_bytes(bytes(values[4:]), "little") or 0x10000
        made += base[start : start + length]
    if len(made) != after:
        raise ValueError("a difference is not as long as it says")
    return bytes(made)


def _size(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a difference is cut")


def loose_kind(file: Path) -> str:
    """Return the type of an object that is a file of its own, without expanding it all."""
    with file.open("rb") as stream:
        return zlib.decompressobj().decompress(stream.read(256), 32).split(b" ")[0].decode("ascii")


def read_loose(file: Path, budget: Budget) -> bytes:
    """Return the content of an object that is a file of its own.

    Raises
    ------
    TooLargeError
        If it is too large, or the budget is spent.
    """
    expander, content = zlib.decompressobj(), bytearray()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            while block:
                expanded = expander.decompress(block, 1 << 20)
                budget.expand(len(expanded))
                content += expanded
                block = expander.unconsumed_tail
                if len(content) > _LARGEST:
                    raise TooLargeError("an object in it is too large")
    if not expander.eof:
        raise ValueError("it is cut")
    return bytes(content).partition(b"\0")[2]
