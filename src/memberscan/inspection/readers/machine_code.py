"""Compiled programs and libraries, as wheels hold them: they are known, and not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Source

_MAGIC: Final = (
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\0asm",
    b"!<arch>\n",
)
"""ELF, PE, Mach-O and Java, WebAssembly, static libraries."""


class MachineCode:
    """Machine code and compiled Python, which hold no data of people unless someone hid them there.

    Text in them, such as the paths of the machine that compiled them, is not searched.
    """

    name = "machine code"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it begins as a program does; compiled Python is known by its name, too."""
        # A compiled Python file begins with a number of its version and a line end, which may be chance.
        python = source.suffix in (".pyc", ".pyo") and head[2:4] == b"\r\n"
        return python or (head.startswith(_MAGIC) and not head[:4096].isascii())

    def read(self, source: Source) -> Iterator[Item]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()
