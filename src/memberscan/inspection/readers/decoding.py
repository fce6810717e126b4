"""Text of unknown encoding, decoded as a stream."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, Final

from memberscan.errors import TooLargeError
from memberscan.inspection.sources import HEAD, Source

BLOCK: Final = 1 << 20
"""Characters that are decoded at a time."""
LONGEST_LINE: Final = 64 << 20
"""Most characters of a line of a table or of JSON lines."""
_ERRORS: Final = "memberscan.latin-1"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS: Final = bytes({*range(32)} - {7, 8, 9, 10, 12, 13, 27})
"""Bytes that text hardly holds; a terminal's log may hold a bell, a backspace and escapes."""


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """Decode the bytes that are not valid as Latin-1, in which every byte is a character."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_ERRORS, _as_latin_1)


def encoding_of(head: bytes) -> str:
    """Return the encoding that the first bytes suggest: by a byte-order mark, else UTF-8 or Latin-1."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    try:
        # A character may be cut at the end of the first bytes; an incremental decoder waits for its rest.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def is_text(head: bytes) -> bool:
    """Return whether the first bytes are text: they have a byte-order mark, or no zero and few controls."""
    if head.startswith(tuple(mark for mark, _ in _MARKS)):
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return bool(head) and b"\0" not in head and 50 * controls <= len(head)


def opened(source: Source) -> io.TextIOWrapper:
    """Return the text of a file as a stream, without changing the ends of its lines.

    Bytes that are invalid in the encoding are taken as Latin-1, so that no file fails on its encoding.
    """
    stream: BinaryIO = source.open()
    head = stream.read(HEAD)
    stream.seek(0)
    return io.TextIOWrapper(stream, encoding_of(head), errors=_ERRORS, newline="")


def whole(source: Source, most: int) -> str:
    """Return all text of a file of at most ``most`` bytes.

    Raises
    ------
    TooLargeError
        If it has more bytes.
    """
    if source.size > most:
        raise TooLargeError(f"it has {source.size:,} bytes; at most {most:,} of this format are read")
    with opened(source) as text:
        return text.read()


def lines(source: Source) -> Iterator[str]:
    """Yield the lines of a file with their ends.

    Raises
    ------
    TooLargeError
        If a line is longer than :data:`LONGEST_LINE` characters.
    """
    for block in blocks_of_lines(source):
        yield from lines_of(block)


def lines_of(block: str) -> Iterator[str]:
    """Yield the lines of a text with their ends; only a line feed ends one."""
    # Python's own way would end lines at other characters, too, such as a form feed.
    yield from io.StringIO(block, newline="\n")


def blocks_of_lines(source: Source, size: int = BLOCK) -> Iterator[str]:
    """Yield the text of a file in blocks of whole lines.

    Parameters
    ----------
    source
        The file.
    size
        About how many characters a block has.

    Raises
    ------
    TooLargeError
        If a line is longer than :data:`LONGEST_LINE` characters.
    """
    with opened(source) as text:
        left, old = "", None
        while block := text.read(size):
            source.budget.in_time()
            # Before 2001, lines on a Macintosh ended by a carriage return alone.
            old = "\r" in block and "\n" not in block if old is None else old
            block = left + (block.replace("\r", "\n") if old else block)
            end = block.rfind("\n") + 1
            left = block[end:]
            if len(left) > LONGEST_LINE:
                raise TooLargeError(f"a line has more than {LONGEST_LINE:,} characters")
            if end:
                yield block[:end]
        if left:
            yield left
