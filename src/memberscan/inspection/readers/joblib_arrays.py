"""Arrays in files of joblib: their bytes follow the record of the array in the same stream."""

from __future__ import annotations

import math
from typing import Final

from memberscan.errors import BadInputError
from memberscan.inspection.readers.array_values import as_values
from memberscan.inspection.readers.pickle_machine import Build, PickleMachine
from memberscan.inspection.readers.pickle_stack import text_of
from memberscan.inspection.readers.pickled_arrays import dtype_of, shape_of, shaped
from memberscan.inspection.values import Instance, Value


def _array(machine: PickleMachine, _: Instance, state: Value) -> Value:
    """Return the array whose bytes come next in the file.

    Source: ``NumpyArrayWrapper.read_array`` of joblib 1.6: arrays of objects are a pickle of their own; since
    version 1.1 other arrays begin with one byte that counts the bytes of padding after it.

    Raises
    ------
    BadInputError
        If the record is damaged; what follows in the file could not be told from the array's bytes.
    """
    try:
        dtype, shape = dtype_of(state["dtype"]), shape_of(state["shape"])
        fortran = state["order"] == "F"
    except (TypeError, ValueError, LookupError) as error:
        raise BadInputError("the record of an array of joblib is damaged") from error
    if dtype.hasobject:
        return machine.inner(machine.stream).load()
    if state.get("numpy_array_alignment_bytes") is not None:
        machine.stream.take(machine.stream.take(1)[0])
    numbers = machine.stream.numbers(dtype, math.prod(shape))
    return as_values(shaped(numbers, shape, fortran), dtype, machine.budget)


def _elsewhere(machine: PickleMachine, made: Instance, state: Value) -> Value:
    """Note that an array lies in another file, as joblib before version 0.10 wrote them."""
    made.state.update(state)
    machine.missing.append(
        f"an array is in the file {text_of(state['filename'])!r} beside it, which is read on its own"
    )
    return made


BUILDS: Final[dict[str, Build]] = {
    "joblib.numpy_pickle.NumpyArrayWrapper": _array,
    "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper": _array,
    **dict.fromkeys(
        (
            f"{package}joblib.{module}.{kind}"
            for package in ("", "sklearn.externals.")
            for module in ("numpy_pickle", "numpy_pickle_compat")
            for kind in ("NDArrayWrapper", "ZNDArrayWrapper")
        ),
        _elsewhere,
    ),
}
"""Classes whose state is known, by their full names."""
