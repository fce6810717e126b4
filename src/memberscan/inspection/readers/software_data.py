"""Data of software, as packages hold it: fonts and time zones, which are not read, and translations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Source

_FONTS: Final = (b"wOFF", b"wOF2", b"\0\1\0\0\0", b"OTTO", b"ttcf")
_TIME_ZONE: Final = b"TZif"
_TRANSLATION: Final = (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")
_LARGEST: Final = 64 << 20


class SoftwareData:
    """Fonts and time zones, which hold no data of people."""

    name = "font or time zone"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is a font, by its first bytes and its name, or a time zone."""
        font = head.startswith(_FONTS) and source.suffix in (".ttf", ".otf", ".woff", ".woff2", ".ttc")
        return font or head.startswith(_TIME_ZONE)

    def read(self, source: Source) -> Iterator[Item]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()


class Translation:
    """Texts of a program in another language, as GNU gettext compiles them."""

    name = "translation"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether it begins as a file of translations does, in either order of bytes."""
        return head.startswith(_TRANSLATION)

    def read(self, source: Source) -> Iterator[Item]:
        """Yield all texts; each ends with a zero."""
        data = source.read(_LARGEST)
        yield Item("", data.replace(b"\0", b"\n").decode("utf-8", "replace"))
