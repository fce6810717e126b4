"""Files of R: rds and RData, compressed or not."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.compression import all_bytes, first_bytes
from memberscan.inspection.readers.r_values import Values
from memberscan.inspection.sources import Source

_LARGEST: Final = 1 << 30
_WORKSPACES: Final = (b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n", b"RDB2\n", b"RDB3\n")
_OBJECTS: Final = (b"X\n\0\0\0\2", b"X\n\0\0\0\3", b"A\n2\n", b"A\n3\n", b"B\n\2\0\0\0", b"B\n\3\0\0\0")
_DEEPEST: Final = 100_000
"""Frames of Python: variables of a workspace are a list in which each is within the one before."""


class RFile:
    """One object (rds) or a workspace (RData) of R.

    Objects become values without anything being called. Lists with a class and S4 objects become records
    whose class name is the class attribute, its parts separated by spaces; data frames, and matrices with
    names, become tables. What formulas and functions hold in their environments is read, too.
    """

    name = "R"
    needs = "rdata"

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it begins as one of them does, once it is expanded."""
        return first_bytes(source, head).startswith((*_WORKSPACES, *_OBJECTS))

    def read(self, source: Source) -> Iterator[Item]:
        """Yield each variable of a workspace, or the object, and then the attributes of what is in it."""
        from memberscan.inspection.readers.r_parser import parse

        content = all_bytes(source, _LARGEST)
        with _deep(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            top = parse(content)
        items = Values(source.budget).items(top, content.startswith(_WORKSPACES))
        while True:
            # Whoever takes the item does not run under the higher limit.
            with _deep():
                item = next(items, None)
            if item is None:
                return
            yield item


@contextmanager
def _deep() -> Iterator[None]:
    """Allow deep recursion, which since Python 3.11 takes memory rather than the processor's stack."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
