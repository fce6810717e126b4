"""Tensors of torch in pickles: a view of a storage, whose bytes lie elsewhere in the file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np

from memberscan.errors import BadInputError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_machine import Call, PickleMachine
from memberscan.inspection.readers.pickled_arrays import shape_of
from memberscan.inspection.readers.tensor_values import TYPES, in_numpy, strided
from memberscan.inspection.sources import Budget
from memberscan.inspection.values import Instance, Value


class View(NamedTuple):
    """A tensor as a part of a storage."""

    shape: tuple[int, ...]
    """Its shape."""
    kind: str
    """Torch's name of the type of its numbers."""
    first: int
    """Its first byte in the storage."""
    end: int
    """The byte after its last."""

    @property
    def size(self) -> int:
        """Number of its bytes."""
        return math.prod(self.shape) * np.dtype(TYPES[self.kind]).itemsize


@dataclass(frozen=True, eq=False)
class Storage(Instance):
    """The bytes that tensors are views of."""

    content: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    """The bytes, of shape (size,)."""
    kind: str = "uint8"
    """Torch's name of the type of its numbers."""
    order: str = "<"
    """Their byte order."""
    views: list[View] = field(default_factory=list)
    """The tensors that were made of it, or of the storage that it is a part of."""
    start: int = 0
    """Its first byte in the storage that it is a part of."""

    def numbers(self, kind: str) -> np.ndarray:
        """Return the stored numbers, of shape (n,); those that numpy does not have as bits."""
        dtype = np.dtype(TYPES[kind]).newbyteorder("<" if self.order == "<" else ">")
        return self.content[: self.content.size // dtype.itemsize * dtype.itemsize].view(dtype)

    def part(self, first: int, count: int) -> Storage:
        """Return the storage of ``count`` of its numbers from the number ``first`` on."""
        size = np.dtype(TYPES[self.kind]).itemsize
        if not 0 <= first <= first + count <= self.content.size // size:
            raise BadInputError("a part of a storage lies outside it")
        content = self.content[first * size : (first + count) * size]
        return replace(self, content=content, start=self.start + first * size)

    def rest(self, budget: Budget) -> np.ndarray | None:
        """Return all numbers if tensors show fewer, in rows as the largest tensor's; otherwise None."""
        if self._shown() >= self.content.size:
            return None
        shape, kind, *_ = max(self.views, key=lambda view: view.size, default=View((), self.kind, 0, 0))
        numbers, row = self.numbers(kind), math.prod(shape[1:])
        rows = row > 0 and len(numbers) % row == 0
        return in_numpy(numbers.reshape(-1, *shape[1:]) if rows else numbers, kind, budget)

    def _shown(self) -> int:
        """Return how many bytes the tensors show at most: they may overlap or leave out bytes between."""
        covered = end = 0
        for view in sorted(self.views, key=lambda view: view.first):
            covered += max(view.end - max(view.first, end), 0)
            end = max(end, view.end)
        return min(covered, sum(view.size for view in self.views))


def kind_of(value: Value) -> str:
    """Return torch's name of the type of numbers that a storage's class or a dtype stands for.

    Raises
    ------
    TypeError
        If it is of a type that is not known.
    """
    if not isinstance(value, Instance):
        raise TypeError
    name = value.class_name.rpartition(".")[2]
    kind = {"CharStorage": "int8", "ByteStorage": "uint8", "UntypedStorage": "uint8"}.get(name)
    kind = kind or name.removesuffix("Storage").lower()
    kind = {"complexfloat": "complex64", "complexdouble": "complex128"}.get(kind, kind)
    if kind not in TYPES:
        raise TypeError
    return kind


def rest_of(storages: Iterable[tuple[str, Storage]], budget: Budget) -> Iterator[Item | Partly]:
    """Yield storages that hold more than their tensors, as those do of which only a part was saved."""
    for name, storage in storages:
        if (rest := storage.rest(budget)) is not None:
            yield Item(f"storage {name}", rest)


def view_of(storage: Value, offset: int, size: Value, stride: Value, kind: str, budget: Budget) -> np.ndarray:
    """Return the tensor that is a view of a storage, and note in the storage what it shows.

    Raises
    ------
    TypeError, ValueError
        If its parts are not a storage, a shape and strides.
    BadInputError
        If the view leaves the storage.
    """
    if not isinstance(storage, Storage):
        raise TypeError
    shape = shape_of(size)
    view = strided(storage.numbers(kind), offset, shape, shape_of(stride))
    # The last byte is that of the last number along every axis.
    length = sum((count - 1) * step for count, step in zip(shape, view.strides, strict=True)) + view.itemsize
    first = storage.start + offset * view.itemsize
    storage.views.append(View(shape, kind, first, first + length if view.size else first))
    return in_numpy(view, kind, budget)


def _tensor(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    storage, offset, size, stride = arguments[:4]
    return view_of(storage, offset, size, stride, storage.kind, machine.budget)


def _typed_tensor(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    storage, offset, size, stride, _, _, dtype, *_ = arguments
    return view_of(storage, offset, size, stride, kind_of(dtype), machine.budget)


def _first(_: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    return arguments[0]


def _of_type(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    """Return a tensor of a class of its own, or one with attributes."""
    function, _, inner, state = arguments
    if state:
        machine.discarded.append(state)
    return machine.call(function, inner)


def _typed_storage(_: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    return arguments[0]


def _from_bytes(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    """Return the storage of a tensor in a plain pickle: a file of torch's older format within the pickle."""
    # The reader of that format makes tensors of this module.
    from memberscan.inspection.readers.torch_legacy import read_legacy

    value, _ = read_legacy(ByteStream.of(bytes(arguments[0]), machine.budget), machine.inner)
    return value


_UTILS: Final = "torch._utils."
CALLS: Final[dict[str, Call]] = {
    f"{_UTILS}_rebuild_tensor": _tensor,
    f"{_UTILS}_rebuild_tensor_v2": _tensor,
    f"{_UTILS}_rebuild_tensor_v3": _typed_tensor,
    f"{_UTILS}_rebuild_qtensor": _tensor,
    f"{_UTILS}_rebuild_parameter": _first,
    f"{_UTILS}_rebuild_parameter_with_state": _first,
    f"{_UTILS}_rebuild_device_tensor_from_numpy": _first,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.storage._load_from_bytes": _from_bytes,
    "torch.storage.TypedStorage": _typed_storage,
    "torch.Size": lambda _, arguments: tuple(arguments[0]),
    "torch.jit._pickle.build_intlist": _first,
    "torch.jit._pickle.build_doublelist": _first,
    "torch.jit._pickle.build_boollist": _first,
    "torch.jit._pickle.build_tensorlist": _first,
    "torch.jit._pickle.restore_type_tag": _first,
}
"""Calls whose results are known, by the full names of the functions."""
