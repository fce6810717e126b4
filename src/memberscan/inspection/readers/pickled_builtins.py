"""Python's own classes in pickles: containers, text, dates, paths and functions, as plain values."""

from __future__ import annotations

import datetime
from typing import Final

from memberscan.inspection.readers.pickle_machine import Call, PickleMachine, Reference
from memberscan.inspection.readers.pickle_stack import key_of
from memberscan.inspection.values import Instance, Value


def _new(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    """Return an object that is made by its class's ``__new__``."""
    callee, *rest = arguments
    return machine.call(callee, tuple(rest))


def _new_with_names(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    callee, rest, names = arguments
    made = machine.call(callee, tuple(rest))
    return machine.build(made, names) if names else made


def _reconstructed(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    """Return an object of protocols 0 and 1: its class, the base class, and the value of the base."""
    kind, _, base = arguments
    return machine.call(kind, () if base is None else (base,))


def _cython(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    """Return an object of a class of Cython: its class, a checksum, and its state or None."""
    kind, state = arguments[0], arguments[-1] if len(arguments) == 3 else None
    made = Instance(kind.class_name)
    return made if state is None else machine.build(made, state)


def _list(machine: PickleMachine, arguments: tuple[Value, ...]) -> list[Value]:
    # A file can refer to one long list a million times; each copy is counted.
    values = arguments[0] if arguments else ()
    if not isinstance(values, list | tuple | set | frozenset):
        raise TypeError
    machine.budget.look(len(values))
    return list(values)


def _set(machine: PickleMachine, arguments: tuple[Value, ...]) -> set[Value]:
    return set(map(key_of, _list(machine, arguments)))


def _frozen_set(machine: PickleMachine, arguments: tuple[Value, ...]) -> frozenset[Value]:
    return frozenset(map(key_of, _list(machine, arguments)))


def _dict(machine: PickleMachine, arguments: tuple[Value, ...]) -> dict[Value, Value]:
    source = arguments[0] if arguments else {}
    pairs = source.items() if isinstance(source, dict) else source
    machine.budget.look(len(pairs))
    return {key_of(key): value for key, value in pairs}


def _default_dict(machine: PickleMachine, arguments: tuple[Value, ...]) -> dict[Value, Value]:
    return _dict(machine, arguments[1:])


def _encoded(machine: PickleMachine, arguments: tuple[Value, ...]) -> bytes:
    """Return bytes that protocols 0 to 2 write as text of Latin-1."""
    text = arguments[0]
    machine.budget.expand(len(text))
    return text.encode("latin-1") if isinstance(text, str) else bytes(memoryview(text))


def _bytes(machine: PickleMachine, arguments: tuple[Value, ...]) -> bytes:
    return _encoded(machine, arguments) if arguments else b""


def _complex(_: PickleMachine, arguments: tuple[Value, ...]) -> complex:
    return complex(*arguments)


def _decimal(_: PickleMachine, arguments: tuple[Value, ...]) -> float:
    return float(arguments[0])


def _path(machine: PickleMachine, arguments: tuple[Value, ...]) -> str:
    machine.budget.expand(sum(map(len, arguments)))
    root, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] == "/" else ("", arguments)
    return str(root + "/".join(rest))


def _packed(value: Value, size: int) -> bytes:
    data = value.encode("latin-1") if isinstance(value, str) else value
    if not isinstance(data, bytes) or len(data) != size:
        raise TypeError
    return data


def _day(_: PickleMachine, arguments: tuple[Value, ...]) -> str:
    year, year_low, month, day = _packed(arguments[0], 4)
    return datetime.date(year * 256 + year_low, month, day).isoformat()


def _clock(_: PickleMachine, arguments: tuple[Value, ...]) -> str:
    hour, minute, second, *micro = _packed(arguments[0], 6)
    # The highest bit of the hour says on which side of a change of the clock the time lies.
    return datetime.time(hour & 127, minute, second, int.from_bytes(bytes(micro), "big")).isoformat()


def _moment(machine: PickleMachine, arguments: tuple[Value, ...]) -> str:
    data = _packed(arguments[0], 10)
    # The highest bit of the month says on which side of a change of the clock the time lies.
    day = _day(machine, (bytes([data[0], data[1], data[2] & 127, data[3]]),))
    return f"{day}T{_clock(machine, (data[4:],))}"


def _named_type(machine: PickleMachine, arguments: tuple[Value, ...]) -> Reference:
    """Return the record of a type that cloudpickle and dill name by text, such as that of code."""
    (name,) = arguments
    if not isinstance(name, str):
        raise TypeError
    return machine.reference(f"types.{name}")


def _state_set(machine: PickleMachine, arguments: tuple[Value, ...]) -> None:
    """Set the state of a function or class: cloudpickle does it by a call whose result is dropped."""
    made, state = arguments
    machine.build(made, state)


CALLS: Final[dict[str, Call]] = {
    "__pyx_unpickle_": _cython,
    "newObj": _cython,
    "copyreg.__newobj__": _new,
    "copyreg.__newobj_ex__": _new_with_names,
    "copyreg._reconstructor": _reconstructed,
    "builtins.list": _list,
    "builtins.tuple": lambda machine, arguments: tuple(_list(machine, arguments)),
    "builtins.set": _set,
    "builtins.frozenset": _frozen_set,
    "builtins.dict": _dict,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.complex": _complex,
    "_codecs.encode": _encoded,
    "collections.deque": _list,
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "collections.defaultdict": _default_dict,
    "decimal.Decimal": _decimal,
    "datetime.date": _day,
    "datetime.time": _clock,
    "datetime.datetime": _moment,
    "cloudpickle.cloudpickle._builtin_type": _named_type,
    "cloudpickle.cloudpickle._function_setstate": _state_set,
    "cloudpickle.cloudpickle._class_setstate": _state_set,
    "dill._dill._load_type": _named_type,
    "sklearn.utils.Bunch": _dict,
    "sklearn.utils._bunch.Bunch": _dict,
    **dict.fromkeys(
        (
            f"pathlib.{module}{kind}"
            for module in ("", "_local.")
            for kind in ("PurePath", "PurePosixPath", "PosixPath", "PureWindowsPath", "WindowsPath", "Path")
        ),
        _path,
    ),
}
"""Calls whose results are known, by the full names of the functions."""
