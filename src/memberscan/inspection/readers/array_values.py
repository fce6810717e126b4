"""Arrays of any numpy type as plain values: records become tables, and dates become text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from memberscan.inspection.sources import Budget
from memberscan.inspection.values import Columns, Value


def nested(values: Sequence[Value], shape: tuple[int, ...]) -> Value:
    """Return values in the order of C as nested lists of a shape.

    Raises
    ------
    ValueError
        If their number is not that of the shape.
    """
    if len(values) != math.prod(shape):
        raise ValueError("an array of objects has another number of values than its shape")
    if not shape:
        return values[0]
    rows = list(values)
    # From the last axis to the second, each pass makes lists of what is there; the first axis remains.
    for length in reversed(shape[1:] if rows else ()):
        rows = [rows[first : first + length] for first in range(0, len(rows), length)]
    return rows


def as_values(array: Sequence[Value] | np.ndarray, dtype: np.dtype[Any], budget: Budget) -> Value:
    """Return an array as plain values.

    Parameters
    ----------
    array
        The array, or the list of tuples of an array whose records hold objects.
    dtype
        Its type.
    budget
        Pays for what is copied.

    Returns
    -------
    value
        An array of numbers or of text of fixed length; :class:`Columns` of an array of records; text of ISO
        8601 for dates; a count of units for lengths of time; bytes for what has no known form.
    """
    if dtype.names:
        return Columns(_columns(array, dtype, budget))
    if not isinstance(array, np.ndarray):
        return list(array)
    if dtype.kind == "M":
        return _dates(array, budget)
    if dtype.kind == "m":
        return array.view(array.dtype.str.partition("[")[0].replace("m8", "i8"))
    if dtype.kind == "V" and dtype.subdtype is None:
        budget.expand(array.nbytes)
        return array.tobytes()
    return array


def _columns(
    array: Sequence[Value] | np.ndarray, dtype: np.dtype[Any], budget: Budget
) -> dict[str, Sequence[Value] | np.ndarray]:
    names = dtype.names or ()
    budget.look(len(names))
    if isinstance(array, np.ndarray):
        flat = array.reshape(-1)
        parts = {name: as_values(flat[name], flat[name].dtype, budget) for name in names}
    else:
        budget.look(len(array) * len(names))
        parts = {name: [row[place] for row in array] for place, name in enumerate(names)}
    columns: dict[str, Sequence[Value] | np.ndarray] = {}
    for name, part in parts.items():
        if isinstance(part, Columns):
            columns.update({f"{name}.{inner}": column for inner, column in part.columns.items()})
        elif not isinstance(part, bytes):
            columns[name] = part
    return columns


def _dates(array: np.ndarray, budget: Budget) -> np.ndarray:
    """Return dates as text: days if all are whole days, otherwise seconds."""
    # Each date of 8 bytes becomes up to 28 characters of 4 bytes.
    budget.expand(array.size * 112)
    for unit in ("D", "s"):
        short = array.astype(f"M8[{unit}]")
        if bool(np.all((short == array) | np.isnat(array))):
            return np.datetime_as_string(short)
    return np.datetime_as_string(array.astype("M8[s]"))
