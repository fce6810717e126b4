"""What a reader of one format is: it knows its files by their content and makes plain values of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from memberscan.inspection.sources import Source
from memberscan.inspection.values import Value


class Item(NamedTuple):
    """A value in a file."""

    place: str
    """Its place: a key, a tensor's name, a sheet; empty for the whole file."""
    value: Value


class Partly(NamedTuple):
    """A part of a file that was not read."""

    place: str
    """Its place, as that of an item."""
    reason: str
    """Why it was not read."""


class Reader(Protocol):
    """A format. A reader never executes anything from a file, and reads within ``source.budget``.

    It may raise any exception on a damaged or hostile file: files are read in another process, and what the
    reader raises becomes the reason why the file was not read. What it yielded before that counts.
    """

    name: str
    """The format in words, such as "pickle"."""
    needs: str
    """Module of the optional dependency that it imports; empty if it needs none."""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether a file is of this format.

        Its first bytes decide (:data:`~memberscan.inspection.sources.HEAD` of them), and its name only in
        formats that cannot be told from their bytes.
        """
        ...

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """Yield the values in a file, the parts that are not read, and the files within it."""
        ...
