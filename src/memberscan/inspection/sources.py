"""A file of a release as readers see it, and the budget that bounds what reading it may cost."""

from __future__ import annotations

import io
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO

from memberscan.errors import TooLargeError

HEAD = 4096
"""Number of first bytes by which a format is known."""
_IN_MEMORY = 32 << 20
"""Files within archives are kept in memory up to this size; larger ones go to the scratch directory."""


_MOST_EXPANDED = 8 << 30
"""Most bytes that come out of one file."""
_ALWAYS_EXPANDED, _RATIO = 256 << 20, 200
"""Bytes that may always come out, and how many times its size besides. Text and images shrink less than that;
archives that were made to fill memory shrink a thousand times."""


@dataclass
class Budget:
    """What may still be spent on one file of a release and all the files within it.

    Running out is an error that ends the reading of that file. It is reported, and the inspection continues
    with the next file.
    """

    scratch: Path
    """Directory for large files of archives; it is removed after the inspection."""
    expanded: int = _MOST_EXPANDED
    """Bytes that may still come out of compressed data."""
    entries: int = 200_000
    """Files within archives that may still be looked at."""
    values: int = 20_000_000
    """Values within files that may still be looked at."""
    deepest: int = 5
    """Most levels of archives within archives."""
    ends: float = field(default_factory=lambda: time.monotonic() + 600)
    """When time is over, on the monotonic clock."""

    @classmethod
    def of_file(cls, scratch: Path, size: int) -> Budget:
        """Return the budget of a file of that many bytes, which bounds how much may come out of few."""
        return cls(scratch, expanded=min(_MOST_EXPANDED, _ALWAYS_EXPANDED + _RATIO * size))

    def expand(self, size: int) -> None:
        """Spend bytes of expanded data; call it before or while they are expanded."""
        self.expanded -= size
        if self.expanded < 0:
            raise TooLargeError("it expands to more than is read; unpack it and inspect its parts")
        self.in_time()

    def entry(self) -> None:
        """Spend one file within an archive."""
        self.entries -= 1
        if self.entries < 0:
            raise TooLargeError("it holds more files than are read; unpack it and inspect its parts")
        self.in_time()

    def look(self, count: int = 1) -> None:
        """Spend values that are looked at."""
        self.values -= count
        if self.values < 0:
            raise TooLargeError("it holds more values than are read; inspect its parts")

    def in_time(self) -> None:
        """Check the time."""
        if time.monotonic() > self.ends:
            raise TooLargeError("reading it took longer than is allowed; inspect its parts")


@dataclass(frozen=True)
class Source:
    """A file, on disk or within an archive."""

    name: str
    """Its path within the release; ``!`` stands between an archive and a file in it."""
    size: int
    """Its bytes."""
    where: Path | bytes
    """Where it lies on disk, or its bytes if it is a small file of an archive."""
    budget: Budget
    """What may still be spent on it."""
    depth: int = 0
    """How many archives it lies within."""

    @classmethod
    def on_disk(cls, path: Path, name: str, budget: Budget) -> Source:
        """Return the source of a regular file."""
        return cls(name, path.stat().st_size, path, budget)

    def within(self, name: str, stream: IO[bytes]) -> Source:
        """Return the source of a file in this archive.

        Parameters
        ----------
        name
            Its name in the archive. It is only shown: nothing is written under that name.
        stream
            Its expanded bytes. Their number is counted, since archives may declare any.

        Raises
        ------
        TooLargeError
            If the budget of bytes, files, levels or time is spent.
        """
        if self.depth >= self.budget.deepest:
            raise TooLargeError("it lies within too many archives; unpack it and inspect its parts")
        self.budget.entry()
        kept = bytearray()
        while len(kept) <= _IN_MEMORY and (block := stream.read(1 << 20)):
            self.budget.expand(len(block))
            kept += block
        name = f"{self.name}!{name}"
        if len(kept) <= _IN_MEMORY:
            return Source(name, len(kept), bytes(kept), self.budget, self.depth + 1)
        with tempfile.NamedTemporaryFile(dir=self.budget.scratch, delete=False) as file:
            file.write(kept)
            while block := stream.read(1 << 20):
                self.budget.expand(len(block))
                file.write(block)
            return Source(name, file.tell(), Path(file.name), self.budget, self.depth + 1)

    def open(self) -> BinaryIO:
        """Return a seekable stream at the first byte."""
        return io.BytesIO(self.where) if isinstance(self.where, bytes) else self.where.open("rb")

    def read(self, most: int) -> bytes:
        """Return all bytes, of which there may be at most ``most``.

        Raises
        ------
        TooLargeError
            If there are more.
        """
        if self.size > most:
            raise TooLargeError(f"it has {self.size:,} bytes; at most {most:,} of this format are read")
        with self.open() as stream:
            return stream.read(self.size)

    @property
    def suffix(self) -> str:
        """The end of its name from the last dot, in lower case."""
        return Path(self.name.rpartition("!")[2]).suffix.lower()
