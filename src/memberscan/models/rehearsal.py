"""Check the pickle in a torch file without building any object, before torch loads it.

torch refuses code in such files, but not what exhausts memory or stack: functions that return a value twice
as long as their argument, endless copies of a container, keys nested a million times. A state dict needs only
a few names and operations; everything else is refused here.
"""

from __future__ import annotations

import io
import pickletools
import re
from typing import Any, cast

_EMPTY = "collections OrderedDict"
_BUILDERS = {
    _EMPTY,
    *(f"torch._utils _rebuild_{what}" for what in ("tensor", "tensor_v2", "tensor_v3", "parameter")),
}
"""Functions that may be called. They return a view of a storage, or an empty dictionary."""
_TYPES = re.compile(r"torch \w+Storage|torch\.storage (Typed|Untyped)Storage|torch [a-z]\w*")
"""Types of storages and of numbers, which are named but never called."""
_MOST_ARGUMENTS = 10
_LARGEST_KEY = 1 << 31
_CONSTANTS = {
    *("NONE", "NEWTRUE", "NEWFALSE", "EMPTY_DICT", "EMPTY_LIST"),
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def rehearse(data: bytes, pickles: int, most: int) -> None:
    """Refuse pickles with anything but tensors, numbers, text, and lists and dictionaries of them.

    Parameters
    ----------
    data
        The bytes; they begin with the pickles, and more may follow.
    pickles
        Number of pickles, one after another.
    most
        Most elements that all storages may declare in total.

    Raises
    ------
    ValueError
        If they hold anything else, or are damaged; the message names the first problem.
    """
    stream, rehearsal = io.BytesIO(data), _Rehearsal()
    try:
        for _ in range(pickles):
            rehearsal.play(stream)
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"damaged: {error}") from error
    if sum(rehearsal.elements.values()) > most:
        raise ValueError("far larger tensors than it has numbers for")


class _Rehearsal:
    """The stack and the memo of the pickle machine; they only keep names, text, numbers and tuples."""

    def __init__(self) -> None:
        self.elements: dict[str, int] = {}
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def play(self, stream: io.BytesIO) -> None:
        """Check one pickle; :class:`ValueError` for anything that torch would not read or this refuses."""
        self._stack, self._marks, self._memo = [], [], {}
        for code, argument, _ in pickletools.genops(stream):
            name = code.name
            if name in _CONSTANTS:
                self._stack.append(argument)
            elif name == "GLOBAL":
                self._stack.append(_Name(_allowed(str(argument))))
            elif name in ("BINGET", "LONG_BINGET"):
                self._stack.append(self._memo[cast("int", argument)])
            elif name in ("BINPUT", "LONG_BINPUT"):
                self._memo[cast("int", argument)] = self._stack[-1]
            elif name == "MARK":
                self._marks.append(len(self._stack))
            elif name == "EMPTY_TUPLE":
                self._stack.append(())
            elif name == "TUPLE":
                self._stack.append(tuple(self._marked()))
            elif name in _TUPLES:
                self._stack[-_TUPLES[name] :] = [tuple(self._stack[-_TUPLES[name] :])]
            else:
                self._change(name)

    def _change(self, name: str) -> None:
        if name == "REDUCE":
            function, arguments = self._stack.pop(-2), self._stack.pop()
            _check_call(function, arguments)
            self._stack.append(None)
        elif name == "BINPERSID":
            self._note_storage(self._stack.pop())
            self._stack.append(None)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._marked() if name == "SETITEMS" else [self._stack.pop(-2), self._stack.pop()]
            for key in pairs[::2]:
                _require_plain(key)
        elif name == "APPENDS":
            self._marked()
        elif name in ("APPEND", "BUILD"):
            self._stack.pop()
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"the operation {name}")

    def _marked(self) -> list[Any]:
        place = self._marks.pop()
        items = self._stack[place:]
        del self._stack[place:]
        return items

    def _note_storage(self, name: object) -> None:
        """Note how many elements a storage declares."""
        if not isinstance(name, tuple) or not 5 <= len(name) <= 6:
            raise ValueError("a reference to something other than a storage")
        key, elements = name[2], name[4]
        if not isinstance(key, str) or not isinstance(elements, int) or elements < 0:
            raise ValueError("a storage without a name or a size")
        self.elements[key] = max(elements, self.elements.get(key, 0))


class _Name(str):
    """A name that the pickle has looked up, as opposed to text with the same letters."""

    __slots__ = ()


def _allowed(name: str) -> str:
    if name not in _BUILDERS and not _TYPES.fullmatch(name):
        raise ValueError(f"the name {name}")
    return name


def _check_call(function: object, arguments: object) -> None:
    """Check a call; a dictionary called with arguments could be copied so often that memory runs out."""
    most = 0 if function == _EMPTY else _MOST_ARGUMENTS
    if not isinstance(function, _Name) or function not in _BUILDERS:
        raise ValueError(f"a call of {function!r:.60}")
    if not isinstance(arguments, tuple) or len(arguments) > most:
        raise ValueError(f"a call of {function} with unknown arguments")


def _require_plain(key: object) -> None:
    """Refuse a key that is not text or a small number; hashing a deeply nested tuple crashes the process."""
    if not isinstance(key, str) and not (isinstance(key, int) and abs(key) < _LARGEST_KEY):
        raise ValueError(f"a key of type {type(key).__name__}")
