"""Files that are known and not judged: pictures and fonts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Source

_PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\1\0")
_FONTS: Final = (b"wOFF", b"wOF2", b"\0\1\0\0\0", b"OTTO", b"ttcf")


class LoosePicture:
    """Pictures, which nobody can judge without looking at them; the report counts them."""

    name = "picture"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it is a picture, by its first bytes."""
        return head.startswith(_PICTURES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")

    def read(self, source: Source) -> Iterator[Item]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()


class Font:
    """Fonts of web pages, which hold no data."""

    name = "font"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is a font, by its first bytes and its name."""
        return head.startswith(_FONTS) and source.suffix in (".ttf", ".otf", ".woff", ".woff2", ".ttc")

    def read(self, source: Source) -> Iterator[Item]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()
