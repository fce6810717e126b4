"""Plain text: logs, documentation, web pages and program text, in blocks that overlap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.decoding import BLOCK, is_text, opened
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Picture

OVERLAP: Final = 200
"""Characters that a block repeats from the block before, so that nothing is missed where they meet."""
_WORD: Final = 4096
"""Most characters by which a block is made shorter, so that it ends between words."""
_EMBEDDED: Final = re.compile(
    r"data:image/([a-z0-9.+-]{1,20})(?:;[a-z0-9=-]{1,40})*;base64,[A-Za-z0-9+/=]*", re.I
)
_REST: Final = re.compile(r"[A-Za-z0-9+/=]*")


class Text:
    """Text that no other reader knows.

    Images within it, as web pages and drawings hold them, become pictures, and are left out of the text.
    """

    name = "text"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:  # noqa: ARG002
        """Return whether the first bytes are text in UTF-8, Latin-1, or UTF-16 or UTF-32 with a mark."""
        return is_text(head)

    def read(self, source: Source) -> Iterator[Item]:
        """Yield the text, at most about 1 MiB at a time, and its images."""
        yield from read_text(source)


def read_text(source: Source) -> Iterator[Item]:
    """Yield the text of a file in blocks, and the images in it; other readers of text fall back to it."""
    before = ""
    for block in _without_images(source):
        if isinstance(block, Item):
            yield block
        elif block:
            yield Item("", before + block)
            before = block[-OVERLAP:]


def _without_images(source: Source) -> Iterator[str | Item]:
    within = False
    for block in _blocks(source):
        if within:
            # The image of the block before goes on here.
            end = _REST.match(block).end()  # type: ignore[union-attr]
            within = end == len(block)
            block = block[end:]
        if "data:image/" in block:
            found = list(_EMBEDDED.finditer(block))
            for image in found:
                yield Item("", Picture(image[1].lower()))
            within = within or (bool(found) and found[-1].end() == len(block))
            block = _EMBEDDED.sub("", block)
        yield block


def _blocks(source: Source) -> Iterator[str]:
    """Yield the text without overlap, where possible cut between words."""
    left = ""
    with opened(source) as text:
        while len(block := left + text.read(BLOCK - len(left))) == BLOCK:
            source.budget.in_time()
            cut = max(block.rfind(space, max(0, len(block) - _WORD)) for space in "\n ") + 1
            left = block[cut:] if cut else ""
            yield block[:cut] if cut else block
    yield block
