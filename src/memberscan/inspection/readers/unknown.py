"""Files of no known format: the texts in them are searched, and it is said that the rest was not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.sources import Source

_TEXT: Final = re.compile(rb"[\t\x20-\x7e]{6,}")
_WIDE: Final = re.compile(rb"(?:[\x20-\x7e]\0){6,}")
_BLOCK: Final = 4 << 20
_OVERLAP: Final = 1024
"""Bytes that a block repeats from the block before, so that no id is cut."""


class Unknown:
    """Any file that no other reader knows.

    Databases, graphs and models of other libraries often hold ids as plain text. Compressed texts and
    numbers are not found.
    """

    name = ""
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether there is anything in it."""
        return bool(head)

    def read(self, source: Source) -> Iterator[Item | Partly]:
        """Yield runs of six or more characters, of one byte or of two, a line each."""
        yield Partly("", "its format is not known; only the texts in it were searched")
        with source.open() as stream:
            before = b""
            while block := stream.read(_BLOCK):
                source.budget.in_time()
                data = before + block
                texts = [*_TEXT.findall(data), *(wide[::2] for wide in _WIDE.findall(data))]
                if texts:
                    yield Item("", b"\n".join(texts).decode("ascii"))
                before = data[-_OVERLAP:]
