"""The opcodes of pickles: equal to Python's own values, and nothing is called, imported or without bounds."""

from __future__ import annotations

import builtins
import contextlib
import functools
import os
import pickle
import pickletools
import struct
import sys
import time
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.errors import BadInputError, TooLargeError
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_machine import PickleMachine, is_opcode
from memberscan.inspection.readers.pickle_stack import key_of
from memberscan.inspection.readers.vocabulary import VOCABULARY
from memberscan.inspection.values import Instance

from .pickle_lab import budget, instances, loaded

PROTOCOLS = range(6)
Scan = namedtuple("Scan", ["subject", "age"])

keys = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
hashable = st.recursive(
    keys, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
nested = st.recursive(
    keys | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner, inner, inner)
        | st.sets(hashable, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
    ),
    max_leaves=12,
)


class Person:
    """Has attributes, in a dictionary or in slots."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Slotted:
    __slots__ = ("age",)

    def __init__(self) -> None:
        self.age = 61.5


class Runs:
    """Would run a command if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /nobody/can/write/here",)


@settings(max_examples=80)
@given(nested, st.sampled_from(PROTOCOLS))
def test_plain_values_are_those_of_pickle_in_all_protocols(value: Any, protocol: int) -> None:
    assert loaded(pickle.dumps(value, protocol=protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_long_values_have_opcodes_of_their_own(protocol: int) -> None:
    value = [2**4000, -(2**4000), "x" * 300, b"y" * 300, bytearray(b"z" * 3), "x" * 70_000, list(range(3000))]
    assert loaded(pickle.dumps(value, protocol=protocol)) == value


def test_strings_of_python_2_are_text_or_bytes() -> None:
    # Written by cPickle of Python 2.7.18 in protocols 0 and 2.
    value = ["é", "plain", b"\xff\0", 1, True]
    assert loaded(b"(lp1\nV\xe9\naS'plain'\np2\naS'\\xff\\x00'\np3\naL1L\naI01\na.") == value
    two = b"\x80\x02]q\x01(X\x02\0\0\0\xc3\xa9U\x05plainq\x02U\x02\xff\0q\x03\x8a\x01\x01\x88e."
    assert loaded(two) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_become_records_of_class_and_state(protocol: int) -> None:
    (person,) = [loaded(pickle.dumps(Person(age=61.5, id="sub-01"), protocol=protocol))]
    assert (person.class_name, person.state) == (f"{__name__}.Person", {"age": 61.5, "id": "sub-01"})
    (scan,) = [loaded(pickle.dumps(Scan("sub-01", 61.5), protocol=protocol))]
    assert scan.class_name == f"{__name__}.Scan"
    assert "sub-01" in str(scan.arguments)
    space = loaded(pickle.dumps(SimpleNamespace(age=61.5), protocol=protocol))
    assert space.state == {"age": 61.5}
    if protocol > 1:
        assert loaded(pickle.dumps(Slotted(), protocol=protocol)).state == {"age": 61.5}


def test_subclasses_of_containers_keep_their_items() -> None:
    class Table(dict[str, float]):
        pass

    Table.__qualname__ = "Table"
    globals()["Table"] = Table
    made = loaded(pickle.dumps(Table(age=61.5)))
    assert made.state == {"__dict__": {"age": 61.5}}


def test_containers_may_hold_themselves() -> None:
    items: list[Any] = [1]
    items.append({"again": items})
    person = Person()
    person.itself = person
    for protocol in PROTOCOLS:
        again = loaded(pickle.dumps(items, protocol=protocol))
        assert again[1]["again"] is again
        record = loaded(pickle.dumps(person, protocol=protocol))
        assert record.state["itself"] is record
    pair: Any = ([],)
    pair[0].append(pair)
    assert loaded(pickle.dumps(pair))[0][0][0] is not None


def test_equal_objects_stay_one_object() -> None:
    shared = ["x"]
    first, second = loaded(pickle.dumps([shared, shared]))
    assert first is second


def test_functions_are_named_and_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: Any, **names: Any) -> None:
        raise AssertionError("a pickle ran something")

    bombs = [pickle.dumps([Runs(), "after"], protocol=protocol) for protocol in PROTOCOLS]
    before = set(sys.modules)
    for owner, name in ((os, "system"), (builtins, "eval"), (builtins, "exec"), (builtins, "__import__")):
        monkeypatch.setattr(owner, name, forbidden)
    made = [loaded(bomb) for bomb in bombs]
    hidden = loaded(b"cos\nsystem\n(S'x'\ntR0(ibuiltins\neval\n.")
    objected = loaded(b"(cos\nsystem\nS'x'\no.")
    unknown = loaded(b"cno_such_module\nthing\n.")
    monkeypatch.undo()
    for value in made:
        assert value[0].class_name in {"posix.system", "nt.system"}
        assert value[0].arguments == ("touch /nobody/can/write/here",)
        assert value[1] == "after"
    assert hidden.class_name == "builtins.eval"
    assert (objected.class_name, objected.arguments) == ("os.system", ("x",))
    assert unknown.class_name == "no_such_module.thing"
    assert set(sys.modules) == before


def test_what_is_dropped_is_kept_aside() -> None:
    machine = PickleMachine(ByteStream.of(b"cos\nsystem\n(S'x'\ntR0(I1\nI2\n1N.", budget()), VOCABULARY)
    assert machine.load() is None
    assert [instance.class_name for instance in instances(machine.discarded)] == ["os.system"]
    assert machine.discarded[1:] == [1, 2]


def test_calls_of_results_keep_what_they_call() -> None:
    chained = loaded(pickle.dumps(functools.partial(print, "x")))
    assert chained.class_name == "functools.partial"
    made = loaded(b"cbuiltins\ngetattr\n(cos\npath\nS'join'\ntR(S'a'\ntR.")
    assert made.class_name == "builtins.getattr()"
    assert made.arguments[1] == "a"


def test_persistent_ids_are_given_to_the_caller() -> None:
    for data in (b"P12\n.", b"K\x0cQ."):
        assert loaded(data).class_name == "persistent id"
        machine = PickleMachine(ByteStream.of(data, budget()), VOCABULARY, lambda pid: ("seen", str(pid)))
        assert machine.load() == ("seen", "12")


def test_every_opcode_of_python_is_known() -> None:
    assert all(is_opcode(code.code.encode("latin-1")) for code in pickletools.opcodes)
    assert not is_opcode(b"\xff")
    assert not is_opcode(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x80\x06N.",
        b".",
        b"R.",
        b"NR.",
        b"NNR.",
        b"t.",
        b"h\x07.",
        b"s.",
        b"]N\x93.",
        b"]Na",
        b"NNa.",
        b"(NNe.",
        b"N(NNu.",
        b"}(Nu.",
        b"\x82\x01.",
        b"\x97.",
        b"I1",
        b"Iabc\n.",
        b"S'open\n.",
        b"Fx\n.",
        b"X\x03\x00\x00\x00\xff\xff\xff.",
        b"T\xff\xff\xff\xff.",
        b"\x8b\xff\xff\xff\xff.",
        b"\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
        b"\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"x.",
        b"\x96" + struct.pack("<Q", 1 << 40) + b"x.",
        b"B\xff\xff\xff\x7fx.",
        b"I" + b"9" * 10_000 + b"\n.",
    ],
)
def test_damaged_pickles_end_in_an_error(data: bytes) -> None:
    with pytest.raises((BadInputError, ValueError)):
        loaded(data)


def test_truncations_at_every_byte_end_in_an_error() -> None:
    value = {"id": ["sub-01", b"x"], "age": 61.5, "who": Scan("sub-01", 1), "s": {1, 2}, "n": 2**70}
    for protocol in PROTOCOLS:
        data = pickle.dumps(value, protocol=protocol)
        for end in range(len(data)):
            with pytest.raises((BadInputError, ValueError)):
                loaded(data[:end])


@settings(max_examples=150)
@given(st.binary(max_size=80), st.integers(0, 200), st.sampled_from(PROTOCOLS))
def test_changed_bytes_end_in_a_value_or_an_error(noise: bytes, place: int, protocol: int) -> None:
    data = pickle.dumps([{"id": "sub-01", "x": (1, 2.5)}, Scan("a", 1), Person(age=3)], protocol=protocol)
    place %= len(data)
    with contextlib.suppress(BadInputError, ValueError, OverflowError):
        loaded(data[:place] + noise + data[place + len(noise) // 2 :])


def test_a_billion_references_are_one_list() -> None:
    # Each list holds the one before it ten times: 10^40 values for whoever would copy them.
    levels = b"".join(b"]\x94(h" + bytes([level]) + b"2" * 9 + b"e" for level in range(40))
    started = time.process_time()
    made = loaded(b"]\x94" + levels + b".")
    assert time.process_time() - started < 1
    assert len(made) == 10
    assert all(item is made[0] for item in made)


def test_keys_of_tuples_within_tuples_are_not_hashed() -> None:
    pair: Any = ()
    for _ in range(100):
        pair = (pair, pair)
    assert isinstance(key_of(pair), Instance)
    assert isinstance(key_of((0,) * 20_000), Instance)
    assert isinstance(key_of([]), Instance)
    assert key_of((1, ("a", frozenset([2])))) == (1, ("a", frozenset([2])))
    # })2\x86 ... s: an empty tuple paired with itself 100 times becomes a key.
    data = b"})" + b"2\x86" * 100 + b"Ns."
    assert len(loaded(data)) == 1


def test_copies_are_paid_for() -> None:
    # A list of 200 values is made into a set 200 times.
    data = b"](" + b"K\x01" * 200 + b"e\x940(" + b"cbuiltins\nset\nh\x00\x85R" * 200 + b"l."
    assert len(loaded(data, values=40_000)) == 200
    with pytest.raises(TooLargeError):
        loaded(data, values=30_000)


def test_names_and_labels_of_nested_values_are_short() -> None:
    # A function's result is called a thousand times; a key of an object's state is made of keys of keys.
    chain = loaded(b"cbuiltins\ngetattr\n(tR" + b"(tR" * 1000 + b".")
    assert chain.class_name == "builtins.getattr()"
    state = loaded(b"cmy\nThing\n)\x81})" + b"2\x86" * 100 + b"Nsb.").state
    assert list(state) == ["Instance"]
    with pytest.raises(BadInputError):
        loaded(b"c" + b"m" * 1000 + b"\nThing\n.")


def test_time_is_bounded() -> None:
    with pytest.raises(TooLargeError):
        loaded(b"(" + b"N0" * 70_000 + b"l.", ends=0.0)


def test_pickles_within_pickles_are_bounded() -> None:
    with pytest.raises(TooLargeError):
        PickleMachine(ByteStream.of(b"N.", budget()), VOCABULARY, depth=6)
