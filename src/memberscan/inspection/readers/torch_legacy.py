"""Reads files of torch's older format: pickles, and the bytes of the storages after them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from memberscan.errors import BadInputError
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_machine import PickleMachine
from memberscan.inspection.readers.pickle_stack import text_of
from memberscan.inspection.readers.pickled_tensors import Storage, kind_of
from memberscan.inspection.readers.tensor_values import TYPES
from memberscan.inspection.values import Instance, Value

MAGIC: Final = 0x1950A86A20F9469CFC6C
"""The number in the first pickle."""
MAGIC_BYTES: Final = MAGIC.to_bytes(10, "little")
"""How the first pickle holds it."""
Machine: TypeAlias = Callable[[ByteStream, Callable[[Value], Value] | None], PickleMachine]
"""Makes the machine of a pickle in the file."""


def read_legacy(stream: ByteStream, machine: Machine) -> tuple[Value, dict[str, Storage]]:
    """Return the value of a file and its storages by their keys.

    Source: ``_legacy_save`` in torch/serialization.py: pickles of a magic number, a version, facts about the
    system, the object, and the keys of its storages; then each storage's count of numbers and its bytes.

    Raises
    ------
    BadInputError
        If the file is damaged.
    """
    if machine(stream, None).load() != MAGIC:
        raise BadInputError("it is not a file of torch")
    machine(stream, None).load()
    facts = machine(stream, None).load()
    order = ">" if isinstance(facts, dict) and facts.get("little_endian") is False else "<"
    start = stream.position()
    # Storages come after the object that refers to them, so that it is read twice: first for their types.
    kinds: dict[str, str] = {}
    machine(stream, lambda pid: _note(pid, kinds)).load()
    storages = _storages(stream, machine(stream, None).load(), kinds, order)
    end = stream.position()
    stream.go_to(start)
    programs: list[Value] = []
    last = machine(stream, lambda pid: _stored(pid, storages, programs))
    value = last.load()
    last.discarded.extend(programs)
    stream.go_to(end)
    return value, storages


def _note(pid: Value, kinds: dict[str, str]) -> Value:
    if isinstance(pid, tuple) and len(pid) > 2 and pid[0] == "storage":
        kinds[text_of(pid[2])] = kind_of(pid[1])
    return Instance("persistent id")


def _storages(stream: ByteStream, keys: Any, kinds: dict[str, str], order: str) -> dict[str, Storage]:
    storages = {}
    for key in map(text_of, keys):
        kind = kinds.get(key, "uint8")
        count = int.from_bytes(stream.take(8), "little" if order == "<" else "big", signed=True)
        content = stream.numbers(np.dtype(np.uint8), count * np.dtype(TYPES[kind]).itemsize)
        storages[key] = Storage(f"torch.{kind}", content=content, kind=kind, order=order)
    return storages


def _stored(pid: Value, storages: dict[str, Storage], programs: list[Value]) -> Value:
    """Return what a persistent id stands for: a storage, a part of one, or a class with its program."""
    if isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module":
        programs.extend(pid[2:])
        return pid[1]
    if not isinstance(pid, tuple) or len(pid) < 3 or pid[0] != "storage":
        return Instance("persistent id", (pid,))
    storage = storages[text_of(pid[2])]
    view = pid[5] if len(pid) > 5 else None
    return storage if view is None else storage.part(view[1], view[2])
