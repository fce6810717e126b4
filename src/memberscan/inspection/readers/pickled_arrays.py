"""Numpy's and scipy's arrays in pickles, made of the bytes that the pickle holds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from memberscan.inspection.readers.array_values import as_values, nested
from memberscan.inspection.readers.pickle_machine import Build, Call, PickleMachine
from memberscan.inspection.readers.pickle_stack import text_of
from memberscan.inspection.values import Instance, Value

_TYPE_CODE: Final = re.compile(r"[<>=|]?[?bBhHiIuUlLqQpPefdgFDGSaVOmMc]\d{0,6}(\[\d{0,6}[a-zA-Z]{1,7}\])?")
"""The texts that numpy writes for types of one field. Others are not given to numpy's parser."""
_CLASS: Final = re.compile(r"numpy\.(dtypes\.)?([a-z]+\d*)_?")
_ORDERS: Final[dict[str, Literal["<", ">"]]] = {"<": "<", ">": ">"}
_MOST_AXES: Final = 64
_MOST_FIELDS: Final = 10_000
_MOST_DENSE: Final = 1 << 24
"""Most values of a sparse matrix that is expanded."""


@dataclass(frozen=True, eq=False)
class _Type(Instance):
    """The record of a numpy dtype; ``dtype`` is what it stands for, and changes when its state is set."""

    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("V"))


@dataclass(frozen=True, eq=False)
class _EmptyArray(Instance):
    """The record of an array before its state is set."""


def dtype_of(value: Value) -> np.dtype[Any]:
    """Return the dtype that a value of a pickle stands for.

    Raises
    ------
    TypeError
        If it stands for none.
    """
    if isinstance(value, _Type):
        return value.dtype
    if isinstance(value, bytes):
        value = value.decode("ascii")
    if isinstance(value, str) and _TYPE_CODE.fullmatch(value):
        return np.dtype(value)
    if isinstance(value, Instance) and (named := _CLASS.fullmatch(value.class_name)):
        return np.dtype("V") if named[2] == "record" else np.dtype(named[2])
    raise TypeError


def _dtype(_: PickleMachine, arguments: tuple[Value, ...]) -> Instance:
    return _Type("numpy.dtype", arguments, dtype=dtype_of(arguments[0]))


def _text_dtype(_: PickleMachine, arguments: tuple[Value, ...]) -> Instance:
    """Return the type of text of any length of numpy 2, whose values are pickled as a list."""
    return _Type("numpy.dtypes.StringDType", arguments, dtype=np.dtype(object))


def _dtype_state(machine: PickleMachine, made: Instance, state: Value) -> Instance:
    """Set a dtype's byte order, fields and unit.

    Source: ``arraydescr_setstate`` of numpy's descriptor.c: version, byte order, base type and shape, names,
    fields, item size, alignment, flags, and the unit of dates.
    """
    dtype, (_, order, subtype, names, fields, size, *rest) = dtype_of(made), state
    order = order.decode("ascii") if isinstance(order, bytes) else order
    if subtype is not None:
        dtype = np.dtype((dtype_of(subtype[0]), shape_of(subtype[1])))
    elif names:
        machine.budget.look(len(names))
        parts = [fields[name] for name in names[:_MOST_FIELDS]]
        dtype = np.dtype(
            {
                "names": [text_of(name) for name in names[:_MOST_FIELDS]],
                "formats": [dtype_of(part[0]) for part in parts],
                "offsets": [part[1] for part in parts],
                "itemsize": size,
            }
        )
    elif dtype.kind in "mM" and len(rest) > 2:
        unit, count = rest[2][1][:2]
        unit = unit.decode("ascii") if isinstance(unit, bytes) else unit
        # The unit is without a number in "M8[us]", and with one in "M8[25s]".
        dtype = dtype_of(f"{dtype.kind}8[{count if count != 1 else ''}{unit}]")
    elif dtype.kind in "SUV" and size > 0:
        dtype = np.dtype(f"{dtype.kind}{size // 4 if dtype.kind == 'U' else size}")
    object.__setattr__(
        made, "dtype", dtype if order in ("|", "=") or names else dtype.newbyteorder(_ORDERS[order])
    )
    return made


def shape_of(value: Value) -> tuple[int, ...]:
    """Return the shape that a value of a pickle stands for.

    Raises
    ------
    ValueError
        If it has too many axes, or a length is not a number of items.
    """
    shape = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(shape) > _MOST_AXES or not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError
    return shape


def _raw(machine: PickleMachine, value: Value) -> bytes:
    if isinstance(value, str):
        machine.budget.expand(len(value))
        return value.encode("latin-1")
    if not isinstance(value, bytes):
        raise TypeError
    return value


def array_of(machine: PickleMachine, data: Value, dtype: np.dtype[Any], shape: Value, order: str) -> Value:
    """Return the array of bytes, or the nested lists of a list of objects."""
    shape = shape_of(shape)
    if dtype.hasobject:
        # The objects are in the order of C, whatever the order of the array was.
        machine.budget.look(len(data) * max(len(shape), 1))
        return as_values(list(data), dtype, machine.budget) if dtype.names else nested(data, shape)
    numbers = np.frombuffer(_raw(machine, data), dtype) if math.prod(shape) else np.zeros(0, dtype)
    return as_values(shaped(numbers, shape, order == "F"), dtype, machine.budget)


def shaped(numbers: np.ndarray, shape: tuple[int, ...], fortran: bool) -> np.ndarray:
    """Return numbers in a shape, in the order of Fortran or C."""
    return numbers.reshape(shape, order="F" if fortran else "C")


def _empty(_: PickleMachine, arguments: tuple[Value, ...]) -> Instance:
    return _EmptyArray(arguments[0].class_name)


def _array_state(machine: PickleMachine, made: Instance, state: Value) -> Value:
    """Return an array: version (absent in the oldest files), shape, dtype, order, and bytes or objects."""
    if not isinstance(made, _EmptyArray):
        raise TypeError
    shape, dtype, fortran, data = state[-4:]
    return array_of(machine, data, dtype_of(dtype), shape, "F" if fortran else "C")


def _masked(_: PickleMachine, arguments: tuple[Value, ...]) -> Instance:
    return _EmptyArray(arguments[0].class_name)


def _masked_state(machine: PickleMachine, made: Instance, state: Value) -> Value:
    """Return a masked array's data, and its mask beside it."""
    _, shape, dtype, fortran, data, mask, fill = state
    order = "F" if fortran else "C"
    made.state["data"] = array_of(machine, data, dtype_of(dtype), shape, order)
    made.state["mask"] = array_of(machine, mask, np.dtype(bool), shape, order)
    made.state["fill_value"] = fill
    return made


def _from_buffer(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    data, dtype, shape, order, *_ = arguments
    return array_of(machine, data, dtype_of(dtype), shape, order)


def _scalar(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    dtype, *data = arguments
    dtype = dtype_of(dtype)
    if dtype.hasobject:
        return data[0]
    values = array_of(machine, data[0] if data else b"\0" * dtype.itemsize, dtype, (1,), "C")
    return values[0].item() if isinstance(values, np.ndarray) and values.ndim == 1 else values


def _compressed(matrix: Instance, dense: np.ndarray) -> None:
    """Write the values of a compressed sparse matrix: those of row i lie from indptr[i] to indptr[i + 1]."""
    indices, ends = matrix.state["indices"], matrix.state["indptr"].astype(np.int64)
    # A damaged file may count more values than it holds; differences of 32-bit ends could overflow.
    if ends[0] != 0 or np.any(np.diff(ends) < 0) or int(ends[-1]) > len(indices):
        raise ValueError
    rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    np.add.at(dense, (rows, indices[: len(rows)]), matrix.state["data"][: len(rows)])


def _sparse_state(machine: PickleMachine, made: Instance, state: Value) -> Value:
    """Return a sparse matrix as the array that it stands for if that is small, or as its parts."""
    made.state.update(state)
    shape = shape_of(made.state.get("_shape", made.state.get("shape")))
    if len(shape) != 2 or math.prod(shape) > _MOST_DENSE:
        return made
    data = made.state["data"]
    machine.budget.expand(math.prod(shape) * data.dtype.itemsize)
    dense = np.zeros(shape, data.dtype)
    kind = made.class_name.rpartition(".")[2][:3]
    if kind == "coo":
        rows, columns = made.state.get("coords") or (made.state["row"], made.state["col"])
        np.add.at(dense, (rows, columns), data)
    else:
        _compressed(made, dense if kind == "csr" else dense.T)
    return dense


CALLS: Final[dict[str, Call]] = {
    "numpy.dtype": _dtype,
    "numpy._core._internal._convert_to_stringdtype_kwargs": _text_dtype,
    "numpy._core.multiarray._reconstruct": _empty,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "numpy.ma._mareconstruct": _masked,
    "numpy.ma.core._mareconstruct": _masked,
}
"""Calls whose results are known, by the full names of the functions."""
BUILDS: Final[dict[str, Build]] = {
    "numpy.dtype": _dtype_state,
    **dict.fromkeys(
        (
            "numpy.ndarray",
            "numpy.matrix",
            "numpy.memmap",
            "numpy.recarray",
            "numpy.rec.recarray",
            "numpy.matrixlib.defmatrix.matrix",
            "numpy._core.memmap.memmap",
            "numpy._core.records.recarray",
        ),
        _array_state,
    ),
    **dict.fromkeys(("numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"), _masked_state),
    **dict.fromkeys(
        (
            f"scipy.sparse.{module}{kind}_{form}"
            for kind in ("csr", "csc", "coo")
            for form in ("matrix", "array")
            for module in ("", f"{kind}.", f"_{kind}.")
        ),
        _sparse_state,
    ),
}
"""Classes whose state is known, by their full names."""
