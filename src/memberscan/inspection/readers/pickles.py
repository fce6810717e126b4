"""Reads pickles, and those of joblib, dill and cloudpickle, plain or compressed; unpickles nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.byte_stream import ByteStream, expanded_head
from memberscan.inspection.readers.pickle_machine import PickleMachine, is_opcode
from memberscan.inspection.readers.vocabulary import VOCABULARY
from memberscan.inspection.sources import Source

_SUFFIXES: Final = {".pkl", ".pickle", ".pck", ".pcl", ".p", ".joblib", ".jl", ".dill"}
"""Ends of names that only pickles have."""
_OTHERS: Final = (b"PK\x03\x04", b"\x89HDF", b"\x93NUMPY")
"""First bytes of files that may have such a name and are no pickles."""
_ENOUGH: Final = 8
"""Number of opcodes by which a pickle without a header is known if its first bytes do not hold all of it."""
_FIRST: Final = (b"(", b"c", b"]", b"}")
"""First opcodes of such a pickle: of a list, a tuple, a mapping, or an object."""


class Pickle:
    """Pickles of all protocols, one or several in a file."""

    name = "pickle"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        if head.startswith(_OTHERS):
            return False
        first = expanded_head(head)
        if first[:1] == b"\x80" and first[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            return is_opcode(first[2:3])
        return source.suffix in _SUFFIXES or _reads(first, len(head) == source.size, source)

    def read(self, source: Source) -> Iterator[Item | Partly | Source]:
        """See :class:`~memberscan.inspection.readers.base.Reader`."""
        stream = ByteStream(source)
        number, ended = 0, False
        while not ended:
            source.budget.look()
            machine = PickleMachine(stream, VOCABULARY)
            try:
                value = machine.load()
            except Exception:
                yield from _rest(machine, f"[{number}]", machine.parts())
                raise
            ended = stream.at_end()
            place = "" if ended and not number else f"[{number}]"
            yield Item(place, value)
            yield from _rest(machine, place, [])
            number += 1


def _rest(machine: PickleMachine, place: str, parts: list[object]) -> Iterator[Item | Partly]:
    """Yield what a pickle made beside its value, and what it refers to that is not in the file."""
    if kept := [part for part in (*parts, *machine.discarded) if part is not None]:
        yield Item(f"{place} aside".strip(), kept)
    for reason in machine.missing:
        yield Partly(place, reason)


def _reads(first: bytes, whole: bool, source: Source) -> bool:
    """Return whether bytes are the beginning of a pickle of protocol 0 or 1, which has no header."""
    stream = ByteStream.of(first, source.budget)
    machine = PickleMachine(stream, VOCABULARY)
    try:
        machine.load()
    except Exception:
        # Lines of text may all begin with opcodes, but they remember nothing, as large pickles do.
        begins = first[:1] in _FIRST and machine.steps >= _ENOUGH and machine.remembered > 0
        return not whole and stream.at_end() and begins
    return machine.steps > 1
