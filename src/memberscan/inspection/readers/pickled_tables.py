"""Frames, series and indexes of pandas in pickles, of its versions 1 to 3, as tables."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from memberscan.inspection.readers.arrow_buffers import arrow_column
from memberscan.inspection.readers.pickle_machine import MALFORMED, Build, Call, PickleMachine
from memberscan.inspection.readers.pickle_stack import text_of
from memberscan.inspection.values import Columns, Instance, Value

_UNITS: Final = {7: 1, 8: 1_000, 9: 1_000_000, 10: 1_000_000_000}
"""Parts of a second by pandas' number of a resolution."""
_EPOCH: Final = datetime.datetime(1970, 1, 1)


def column_of(machine: PickleMachine, value: Value) -> Sequence[Any] | np.ndarray:
    """Return the values of an array of numpy or pandas.

    Raises
    ------
    TypeError
        If it is of a class that is not known.
    """
    machine.budget.look()
    if isinstance(value, np.ndarray | list):
        return value
    if isinstance(value, Columns) and len(value.columns) == 1:
        return next(iter(value.columns.values()))
    if not isinstance(value, Instance):
        raise TypeError
    state = value.state
    if isinstance(state.get("_pa_array", state.get("_data")), Instance):
        return arrow_column(machine.budget, state.get("_pa_array", state.get("_data")))
    if "_mask" in state:
        data, mask = (column_of(machine, state[name]) for name in ("_data", "_mask"))
        return _without_masked(machine, data, mask)
    dtype, data = _backed(state)
    if isinstance(dtype, Instance) and dtype.class_name.endswith("CategoricalDtype"):
        return _of_categories(machine, column_of(machine, data), dtype.state.get("categories"))
    if isinstance(dtype, Instance) and dtype.class_name.endswith("PeriodDtype"):
        raise TypeError
    return column_of(machine, data)


def _backed(state: dict[str, Value]) -> tuple[Value, Value]:
    """Return the dtype and the data of an array that is backed by one of numpy."""
    whole = state.get("__state__")
    if isinstance(whole, tuple):
        data = next(part for part in whole if isinstance(part, np.ndarray | list))
        return next((part for part in whole if isinstance(part, Instance)), None), data
    names = ("_codes", "_ndarray", "_data")
    return state.get("_dtype"), next(state[name] for name in names if name in state)


def _without_masked(machine: PickleMachine, data: Sequence[Any] | np.ndarray, mask: Any) -> list[Value]:
    machine.budget.look(len(data))
    return [None if masked else value for value, masked in zip(_plain(machine, data), mask, strict=True)]


def _of_categories(machine: PickleMachine, codes: Any, categories: Value) -> list[Value]:
    machine.budget.look(len(codes))
    values = _plain(machine, column_of(machine, categories))
    return [None if code < 0 else values[code] for code in np.ravel(codes).tolist()]


def _plain(machine: PickleMachine, values: Sequence[Any] | np.ndarray) -> list[Any]:
    machine.budget.look(len(values))
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _index(machine: PickleMachine, arguments: tuple[Value, ...]) -> Value:
    """Return an index as a table with one column a level; one that only counts rows stays a record."""
    kind, state = arguments
    if "levels" in state:
        levels = zip(state["levels"], state.get("codes", state.get("labels")), strict=True)
        columns = [_of_categories(machine, codes, level) for level, codes in levels]
        names = state.get("names") or [None] * len(columns)
        return Columns(_named(zip(names, columns, strict=True)))
    if "data" not in state:
        return Instance(kind.class_name, (), dict(state))
    return Columns(_named([(state.get("name"), column_of(machine, state["data"]))]))


def _named(columns: Any) -> dict[str, Sequence[Any] | np.ndarray]:
    """Return columns by their names; the same name again is followed by the number of the column."""
    named: dict[str, Sequence[Any] | np.ndarray] = {}
    for name, column in columns:
        text = "index" if name is None else text_of(name)
        while text in named:
            text = f"{text} {len(named)}"
        named[text] = column
    return named


def _labels(machine: PickleMachine, axis: Value) -> list[Value]:
    """Return the labels of an axis."""
    if isinstance(axis, Columns):
        columns = [_plain(machine, column) for column in axis.columns.values()]
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    return list(_counted(machine, (axis.state["start"], axis.state["stop"], axis.state["step"])))


def _counted(machine: PickleMachine, bounds: tuple[Value, ...]) -> range:
    numbers = range(*bounds)
    machine.budget.look(len(numbers))
    return numbers


def _blocks(machine: PickleMachine, manager: Instance) -> Iterator[tuple[list[int], Value]]:
    """Yield the positions of columns, and the values of these columns."""
    if manager.arguments:
        for block in manager.arguments[0]:
            yield _positions(machine, block.arguments[1]), block.arguments[0]
        return
    state = manager.state["__state__"]
    for block in state[3]["0.14.1"]["blocks"]:
        yield _positions(machine, block["mgr_locs"]), block["values"]


def _positions(machine: PickleMachine, where: Value) -> list[int]:
    if isinstance(where, Instance) and where.class_name == "builtins.slice":
        return list(_counted(machine, where.arguments))
    if isinstance(where, Instance):
        return _positions(machine, where.arguments[0])
    return [int(position) for position in _plain(machine, where)]


def _by_position(machine: PickleMachine, manager: Instance) -> dict[int, Any]:
    columns: dict[int, Any] = {}
    for positions, values in _blocks(machine, manager):
        try:
            column = column_of(machine, values)
        except MALFORMED:
            # The other columns are still a table.
            machine.discarded.append(values)
            continue
        columns.update(zip(positions, column if _is_block(column) else [column], strict=True))
    return columns


def _is_block(column: Any) -> bool:
    """Return whether values are a block of numpy, with a row for each column, and not one column."""
    if isinstance(column, np.ndarray):
        return np.ndim(column) == 2
    return len(column) > 0 and isinstance(column[0], list)


def _axes(manager: Instance) -> Value:
    return manager.arguments[1] if manager.arguments else manager.state["__state__"][0]


def _rows(axis: Value) -> list[tuple[str, Any]]:
    """Return the columns of an index that says more than the number of the row."""
    return list(axis.columns.items()) if isinstance(axis, Columns) else []


def _manager(machine: PickleMachine, state: Value) -> Instance:
    manager = state.get("_mgr", state.get("_data"))
    if not isinstance(manager, Instance):
        raise TypeError
    if state.get("attrs"):
        machine.discarded.append(state["attrs"])
    return manager


def _frame(machine: PickleMachine, _: Instance, state: Value) -> Value:
    manager = _manager(machine, state)
    axes, columns = _axes(manager), _by_position(machine, manager)
    labels = enumerate(_labels(machine, axes[0]))
    named = [(label, columns[place]) for place, label in labels if place in columns]
    return Columns(_named([*_rows(axes[1]), *named]))


def _series(machine: PickleMachine, _: Instance, state: Value) -> Value:
    manager = _manager(machine, state)
    values = next(block for _place, block in _blocks(machine, manager))
    name = state.get("_name", state.get("name"))
    named = [("values" if name is None else name, column_of(machine, values))]
    return Columns(_named([*_rows(_axes(manager)[0]), *named]))


def _moment(_: PickleMachine, arguments: tuple[Value, ...]) -> str | None:
    """Return a moment as text of ISO 8601; one with a time zone in UTC, in which pandas stores it."""
    value, *_rest, unit = (*arguments, 10) if len(arguments) < 4 else arguments
    seconds, part = divmod(value, _UNITS[unit])
    return (_EPOCH + datetime.timedelta(seconds=seconds, microseconds=part * 1e6 / _UNITS[unit])).isoformat()


def _length_of_time(_: PickleMachine, arguments: tuple[Value, ...]) -> float:
    """Return a length of time in seconds."""
    return float(arguments[0] / _UNITS[arguments[1] if len(arguments) > 1 else 10])


def _python_length_of_time(_: PickleMachine, arguments: tuple[Value, ...]) -> float:
    days, seconds, micro = arguments
    return float(days * 86400 + seconds + micro / 1e6)


def _nothing(_: PickleMachine, __: tuple[Value, ...]) -> None:
    return None


CALLS: Final[dict[str, Call]] = {
    "datetime.timedelta": _python_length_of_time,
    "pandas.core.indexes.base._new_Index": _index,
    "pandas.core.indexes.datetimes._new_DatetimeIndex": _index,
    "pandas.core.indexes.period._new_PeriodIndex": _index,
    "pandas._libs.tslibs.timestamps.Timestamp": _moment,
    "pandas._libs.tslibs.timestamps._unpickle_timestamp": _moment,
    "pandas._libs.tslibs.timedeltas.Timedelta": _length_of_time,
    "pandas._libs.tslibs.timedeltas._timedelta_unpickle": _length_of_time,
    "pandas._libs.tslibs.nattype._nat_unpickle": _nothing,
    "pandas._libs.tslibs.nattype.__nat_unpickle": _nothing,
    "pyarrow.lib.py_buffer": lambda _, arguments: arguments[0],
}
"""Calls whose results are known, by the full names of the functions."""
BUILDS: Final[dict[str, Build]] = {
    "pandas.DataFrame": _frame,
    "pandas.core.frame.DataFrame": _frame,
    "pandas.Series": _series,
    "pandas.core.series.Series": _series,
}
"""Classes whose state is known, by their full names."""
CONSTANTS: Final[dict[str, Value]] = {"pandas.NA": None, "pandas._libs.missing.NA": None}
"""Names of values."""
