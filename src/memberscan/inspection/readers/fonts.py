"""Fonts of web pages: they are known, and not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Source

_MAGIC: Final = (b"wOFF", b"wOF2", b"\0\1\0\0\0", b"OTTO", b"ttcf")


class Font:
    """Fonts, which hold no data of people."""

    name = "font"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is a font, by its first bytes and its name."""
        return head.startswith(_MAGIC) and source.suffix in (".ttf", ".otf", ".woff", ".woff2", ".ttc")

    def read(self, source: Source) -> Iterator[Item]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()
