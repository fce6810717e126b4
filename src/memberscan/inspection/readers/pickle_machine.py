"""Reads the opcodes of a pickle into plain values and records of objects; it calls and imports nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from memberscan.errors import BadInputError, TooLargeError
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_literals import CONSTANTS, EMPTY, LINES, NUMBERS, SIZED
from memberscan.inspection.readers.pickle_stack import PickleStack, key_of, text_of
from memberscan.inspection.values import Instance, Value

_MOST_STEPS: Final = 20_000_000
"""Most opcodes of one pickle; each makes at most one small value, which bounds the memory."""
_CLOCK: Final = 1 << 16
"""Number of opcodes between two looks at the clock."""
_DEEPEST: Final = 5
"""Most levels of pickles within pickles."""
_LONGEST_NAME: Final = 500
MALFORMED: Final = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, StopIteration)
"""What the makers of known classes raise if the arguments are not those of the real class."""


@dataclass(frozen=True, eq=False)
class Reference(Instance):
    """The record of a class or function that a file refers to by its name."""


Call: TypeAlias = Callable[["PickleMachine", tuple[Value, ...]], Value]
"""Makes a value of the arguments of a call."""
Build: TypeAlias = Callable[["PickleMachine", Instance, Value], Value]
"""Makes a value of a record and the state that is set on it."""


@dataclass(frozen=True)
class Vocabulary:
    """The functions, classes and values that are known as data, by their full names."""

    calls: Mapping[str, Call]
    """Functions, and classes that are called to make an object."""
    builds: Mapping[str, Build]
    """Classes of objects whose state is set."""
    constants: Mapping[str, Value]
    """Names of values."""


class PickleMachine(PickleStack):
    """The stack and memo of one pickle.

    Nothing is imported or called: a class, a function and what they would return become records of their
    names and arguments, except those of the vocabulary, which are made of their arguments as data.

    Source: the opcodes as pickletools of CPython documents them, protocols 0 to 5.

    Parameters
    ----------
    stream
        The bytes; :meth:`load` begins at their position and ends after the opcode STOP.
    vocabulary
        What is known as data.
    persistent
        Makes the value that a persistent id stands for; without it, a record of the id.
    depth
        How many pickles this one lies within.
    """

    def __init__(
        self,
        stream: ByteStream,
        vocabulary: Vocabulary,
        persistent: Callable[[Value], Value] | None = None,
        depth: int = 0,
    ) -> None:
        super().__init__()
        if depth > _DEEPEST:
            raise TooLargeError("it lies within too many pickles")
        self.stream = stream
        self.budget = stream.budget
        self.depth = depth
        self.missing: list[str] = []
        """What the pickle refers to and does not hold, in words."""
        self.steps = 0
        """Number of opcodes that were read."""
        self._vocabulary = vocabulary
        self._persistent = persistent or (lambda pid: Instance("persistent id", (pid,)))
        self._references: dict[str, Reference] = {}

    def inner(self, stream: ByteStream, persistent: Callable[[Value], Value] | None = None) -> PickleMachine:
        """Return the machine of a pickle within this one."""
        machine = PickleMachine(stream, self._vocabulary, persistent, self.depth + 1)
        machine.discarded, machine.missing = self.discarded, self.missing
        return machine

    def load(self) -> Value:
        """Return the value of the pickle.

        Raises
        ------
        BadInputError
            If the pickle is damaged, ends too early, or needs what is not in it.
        TooLargeError
            If the budget is spent.
        """
        next_byte, handlers = self.stream.byte, _HANDLERS
        while self.steps < _MOST_STEPS:
            code = next_byte()
            if code == b".":
                return self.pop()
            handler = handlers.get(code)
            if handler is None:
                raise BadInputError(f"it has the unknown opcode {code!r}" if code else "the file ends early")
            handler(self)
            self.steps += 1
            if not self.steps % _CLOCK:
                self.budget.in_time()
        raise TooLargeError("it has more opcodes than are read")

    def reference(self, name: str) -> Reference:
        """Return the record of a class or function."""
        # Files of Python 2 name these two modules as Python 2 does.
        name = name.replace("__builtin__.", "builtins.", 1).replace("copy_reg.", "copyreg.", 1)
        if len(name) > _LONGEST_NAME:
            raise BadInputError("the name of a class is longer than is read")
        return self._references.setdefault(name, Reference(name))

    def call(self, callee: Value, arguments: tuple[Value, ...]) -> Value:
        """Return what stands for the result of a call."""
        if not isinstance(callee, Instance):
            raise BadInputError("it calls what is not a function")
        if not isinstance(callee, Reference):
            return Instance(f"{callee.class_name.removesuffix('()')}()", (callee, *arguments))
        known = self._vocabulary.calls.get(_current(callee.class_name))
        if known is not None:
            try:
                return known(self, arguments)
            except MALFORMED:
                pass
        return Instance(callee.class_name, arguments)

    def build(self, made: Value, state: Value) -> Value:
        """Return what stands for an object after its state is set."""
        if not isinstance(made, Instance):
            self.discarded.append(state)
            return made
        known = self._vocabulary.builds.get(_current(made.class_name))
        if known is not None:
            try:
                return known(self, made, state)
            except MALFORMED:
                pass
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict):
                self.budget.look(len(part))
                made.state.update((text_of(name), value) for name, value in part.items())
            elif part is not None:
                made.state["__state__"] = state
        return made

    def _extend(self, values: list[Value]) -> None:
        target = self.top()
        if isinstance(target, Instance):
            target = target.state.setdefault("__list__", [])
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, set):
            target.update(map(key_of, values))
        else:
            raise BadInputError("it appends to what is not a list")

    def _items(self, values: list[Value]) -> None:
        target = self.top()
        if isinstance(target, Instance):
            target = target.state.setdefault("__dict__", {})
        if not isinstance(target, dict) or len(values) % 2:
            raise BadInputError("it sets items of what is not a dictionary")
        target.update(zip(map(key_of, values[::2]), values[1::2], strict=True))

    def _global(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise BadInputError("it names a class by what is not text")
        self.push(self._constant_or(self.reference(f"{module}.{name}")))

    def _constant_or(self, named: Reference) -> Value:
        return self._vocabulary.constants.get(named.class_name, named)

    def _named(self) -> Reference:
        module, name = (self.stream.line().decode("utf-8", "replace") for _ in range(2))
        return self.reference(f"{module}.{name}")

    def _reduce(self) -> None:
        arguments, callee = self.pop(), self.pop()
        self.push(self.call(callee, arguments if isinstance(arguments, tuple) else (arguments,)))

    def _reduce_with_names(self) -> None:
        names = self.pop()
        self._reduce()
        self.push(self.build(self.pop(), names or None))

    def _object(self) -> None:
        callee, *arguments = self.unmark() or [None]
        self.push(self.call(callee, tuple(arguments)))

    def _instance(self) -> None:
        callee = self._named()
        self.push(self.call(callee, tuple(self.unmark())))

    def _build(self) -> None:
        state, made = self.pop(), self.pop()
        built = self.build(made, state)
        self.push(built)
        self.replace(made, built)

    def _refuse(self) -> None:
        raise BadInputError("it needs buffers or codes that are not in the file")


def _current(name: str) -> str:
    """Return the name under which the vocabulary lists a function or class."""
    last = name.rpartition(".")[2]
    # Cython gives each class such a function, and the trees of scikit-learn have one of their own.
    if last.startswith("__pyx_unpickle_") or last == "newObj":
        return last[:15]
    return name.replace("numpy.core.", "numpy._core.", 1)


def _number(machine: PickleMachine, form: str) -> int:
    return int(struct.unpack(form, machine.stream.take(struct.calcsize(form)))[0])


def _protocol(machine: PickleMachine) -> None:
    if (protocol := _number(machine, "<B")) > 5:
        raise BadInputError(f"it has protocol {protocol}; protocols 0 to 5 are known")


Handler: TypeAlias = Callable[[PickleMachine], Any]


def _constant(value: Value) -> Handler:
    return lambda machine: machine.push(value)


def _empty(kind: Callable[[], Value]) -> Handler:
    return lambda machine: machine.push(kind())


def _fixed(form: str) -> Handler:
    size, unpack = struct.calcsize(form), struct.Struct(form).unpack
    return lambda machine: machine.push(unpack(machine.stream.take(size))[0])


def _sized(form: str, parse: Callable[[bytes], Value]) -> Handler:
    return lambda machine: machine.push(parse(machine.stream.take(_number(machine, form))))


def _line(parse: Callable[[bytes], Value]) -> Handler:
    return lambda machine: machine.push(parse(machine.stream.line()))


_HANDLERS: Final[dict[bytes, Handler]] = {
    **{code: _constant(value) for code, value in CONSTANTS.items()},
    **{code: _empty(kind) for code, kind in EMPTY.items()},
    **{code: _fixed(form) for code, form in NUMBERS.items()},
    **{code: _sized(form, parse) for code, (form, parse) in SIZED.items()},
    **{code: _line(parse) for code, parse in LINES.items()},
    b"\x80": _protocol,
    b"\x95": lambda machine: machine.stream.take(8),
    b"(": PickleMachine.mark,
    b"0": PickleMachine.drop,
    b"1": lambda machine: machine.discarded.extend(machine.unmark()),
    b"2": lambda machine: machine.push(machine.top()),
    b"l": lambda machine: machine.push(machine.unmark()),
    b"t": lambda machine: machine.push(tuple(machine.unmark())),
    b"\x85": lambda machine: machine.gather(1),
    b"\x86": lambda machine: machine.gather(2),
    b"\x87": lambda machine: machine.gather(3),
    b"\x91": lambda machine: machine.push(frozenset(map(key_of, machine.unmark()))),
    b"d": lambda machine: machine._items(machine.unmark_under({})),
    b"a": lambda machine: machine._extend([machine.pop()]),
    b"e": lambda machine: machine._extend(machine.unmark()),
    b"\x90": lambda machine: machine._extend(machine.unmark()),
    b"s": lambda machine: machine._items([machine.pop(), machine.pop()][::-1]),
    b"u": lambda machine: machine._items(machine.unmark()),
    b"g": lambda machine: machine.get(int(machine.stream.line())),
    b"h": lambda machine: machine.get(_number(machine, "<B")),
    b"j": lambda machine: machine.get(_number(machine, "<I")),
    b"p": lambda machine: machine.put(int(machine.stream.line())),
    b"q": lambda machine: machine.put(_number(machine, "<B")),
    b"r": lambda machine: machine.put(_number(machine, "<I")),
    b"\x94": lambda machine: machine.put(machine.remembered),
    b"c": lambda machine: machine.push(machine._constant_or(machine._named())),
    b"\x93": PickleMachine._global,
    b"i": PickleMachine._instance,
    b"o": PickleMachine._object,
    b"R": PickleMachine._reduce,
    b"\x81": PickleMachine._reduce,
    b"\x92": PickleMachine._reduce_with_names,
    b"b": PickleMachine._build,
    b"P": lambda machine: machine.push(machine._persistent(machine.stream.line().decode("ascii", "replace"))),
    b"Q": lambda machine: machine.push(machine._persistent(machine.pop())),
    **dict.fromkeys((b"\x82", b"\x83", b"\x84", b"\x97", b"\x98"), PickleMachine._refuse),
}


def is_opcode(code: bytes) -> bool:
    """Return whether a byte is an opcode of a pickle."""
    return code == b"." or code in _HANDLERS
