"""The stack and the memo of a pickle, and the keys of its dictionaries."""

from __future__ import annotations

import itertools
from typing import Any, Final

from memberscan.errors import BadInputError
from memberscan.inspection.values import Instance, Value

_KEY_PARTS: Final = 10_000
"""Most parts of a tuple that becomes a key: computing the hash of tuples within tuples may take forever."""

_LABEL_PARTS: Final = 16
_SIMPLE: Final = {str, int, float, bytes, bool}


def key_of(value: Value) -> Any:
    """Return a value as a key of a dictionary or a member of a set; one without a hash gets into a record."""
    if type(value) in _SIMPLE:
        return value
    parts, left = [value], _KEY_PARTS
    while parts and left:
        part, left = parts.pop(), left - 1
        if isinstance(part, tuple | frozenset):
            parts.extend(itertools.islice(part, left + 1))
        elif not isinstance(part, str | bytes | int | float | complex | Instance | None):
            return Instance("builtins.object", (value,))
    return Instance("builtins.object", (value,)) if parts else value


def text_of(value: Value) -> str:
    """Return a key or label as text; of nested ones, which may be endless, only the kind of value."""
    parts = value[:_LABEL_PARTS] if isinstance(value, tuple) else (value,)
    return " ".join(
        str(part) if isinstance(part, str | bytes | int | float | complex | None) else type(part).__name__
        for part in parts
    )


class PickleStack:
    """The values that the opcodes of a pickle work on.

    Its methods raise :class:`~memberscan.errors.BadInputError` if what they need is not there.
    """

    def __init__(self) -> None:
        self.discarded: list[Value] = []
        """What the pickle made and dropped again; a file can hide data or calls there."""
        self._stack: list[Value] = []
        self._marked: list[list[Value]] = []
        self._memo: dict[int, Value] = {}
        self._memo_keys: dict[int, int] = {}

    @property
    def remembered(self) -> int:
        """Number of values that are remembered."""
        return len(self._memo)

    def parts(self) -> list[Value]:
        """Return what was made so far of a pickle that could not be read."""
        return [*itertools.chain(*self._marked), *self._stack]

    def push(self, value: Value) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Value:
        """Take the last value off the stack."""
        if not self._stack:
            raise BadInputError("it takes a value that is not there")
        return self._stack.pop()

    def top(self) -> Value:
        """Return the last value of the stack."""
        if not self._stack:
            raise BadInputError("it takes a value that is not there")
        return self._stack[-1]

    def unmark(self) -> list[Value]:
        """Take all values since the last mark off the stack."""
        if not self._marked:
            raise BadInputError("it has an end without a beginning")
        values, self._stack = self._stack, self._marked.pop()
        return values

    def unmark_under(self, target: Value) -> list[Value]:
        """Take all values since the last mark off the stack, and put another there."""
        values = self.unmark()
        self.push(target)
        return values

    def mark(self) -> None:
        """Begin values that an opcode will take together."""
        self._marked.append(self._stack)
        self._stack = []

    def drop(self) -> None:
        """Take the last value off the stack, or the last mark, and keep what was there aside."""
        self.discarded.extend([self.pop()] if self._stack else self.unmark())

    def gather(self, count: int) -> None:
        """Put the last values together into a tuple."""
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def put(self, key: int) -> None:
        """Remember the last value under a number."""
        value = self.top()
        self._memo[key] = value
        if isinstance(value, Instance):
            self._memo_keys[id(value)] = key

    def get(self, key: int) -> None:
        """Put the value of a number on the stack."""
        if key not in self._memo:
            raise BadInputError("it refers to a value that is not there")
        self.push(self._memo[key])

    def replace(self, made: Value, built: Value) -> None:
        """Remember the finished value of an object instead of the record that it began as.

        What follows in the file refers to the finished value.
        """
        key = self._memo_keys.get(id(made))
        if built is not made and key is not None and self._memo.get(key) is made:
            self._memo[key] = built
