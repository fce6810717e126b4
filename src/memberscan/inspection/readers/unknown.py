"""Files of no known format: the texts in them are searched, and it is said that the rest was not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.sources import Source

_TEXT: Final = re.compile(rb"[\t\x20-\x7e]{6,}")
_WIDE: Final = re.compile(rb"(?:[\t\x20-\x7e]\0){6,}")
_LETTER: Final = np.array([byte == 9 or 32 <= byte < 127 for byte in range(256)])
"""Whether each byte is one that texts hold."""
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
                if texts := _texts(data):
                    yield Item("", b"\n".join(texts).decode("ascii"))
                before = data[-_OVERLAP:]


def _texts(data: bytes) -> list[bytes]:
    """Return all runs of six or more characters."""
    array = np.frombuffer(data, np.uint8)
    letters = _LETTER[array]
    narrow = (_TEXT.match(data, start) for start in _runs(letters, 1))
    wide = (_WIDE.match(data, start) for start in _runs(letters[:-1] & (array[1:] == 0), 2))
    return [run[0] for run in narrow if run] + [run[0][::2] for run in wide if run]


def _runs(letters: np.ndarray, step: int) -> list[int]:
    """Return where runs of at least six letters begin.

    Regular expressions try each byte of a large file in turn, which takes ten times as long.

    Parameters
    ----------
    letters
        Whether a letter stands at each place.
    step
        How far the next letter of a run is.
    """
    run = letters
    # Two in a row, then four, then six.
    for further in (1, 2, 2):
        run = run[: -further * step] & run[further * step :]
    first = run.copy()
    first[step:] &= ~run[:-step]
    return np.flatnonzero(first).tolist()
