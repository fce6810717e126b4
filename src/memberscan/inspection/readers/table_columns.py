"""Rows of cells made into columns: names from a first row that is a header, numbers where all cells are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import Any, Final

import numpy as np

from memberscan.inspection.values import Columns

CELLS: Final = 1 << 20
"""About how many cells are made into columns at a time."""
_MISSING: Final = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", "."})
# A number with leading zeros is an id rather than a number, and so is one of more digits than a float keeps.
_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9]\d{0,14}|(?=\.\d))(?:\.\d*)?(?:[eE][+-]?\d{1,3})?")


def tables(rows: Iterable[Sequence[Any]]) -> Iterator[Columns]:
    """Yield tables of some rows each, all with the names of one header.

    Parameters
    ----------
    rows
        Cells of each row, perhaps of different lengths. The first row is the header if it looks like one;
        without a header, columns are named by their numbers from 1.
    """
    stream = iter(rows)
    first = list(islice(stream, 20))
    if not first:
        return
    header = is_header(first)
    names = _names(first) if header else []
    stream = chain(first[header:], stream)
    empty = True
    while chunk := _some(stream):
        empty = False
        yield Columns(_columns(names, chunk))
    if empty:
        yield Columns({name: [] for name in names})


def _some(stream: Iterator[Sequence[Any]]) -> list[Sequence[Any]]:
    chunk: list[Sequence[Any]] = []
    cells = 0
    for row in stream:
        chunk.append(row)
        cells += len(row) + 1
        if cells >= CELLS:
            break
    return chunk


def is_header(rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether the first of some rows names the columns.

    It does if none of its cells is a number and at most one is empty; where a cell is there twice, only if
    there are numbers below. It also does if its cells are 0, 1, 2 and so on, as pandas writes a table without
    names.
    """
    cells = ["" if cell is None else str(cell).strip() for cell in rows[0]]
    if len(cells) > 1 and cells[cells[0] == "" :] == [str(i) for i in range(len(cells) - (cells[0] == ""))]:
        return True
    named = [cell for cell in cells if cell]
    if len(named) < max(1, len(cells) - 1) or any(_number_or_missing(cell) for cell in named):
        return False
    return len({*named}) == len(named) or any(_number_or_missing(cell) for row in rows[1:] for cell in row)


def _number_or_missing(cell: Any) -> bool:
    text = "" if cell is None else str(cell).strip()
    return text in _MISSING or bool(_NUMBER.fullmatch(text))


def _names(rows: Sequence[Sequence[Any]]) -> list[str]:
    names = ["" if cell is None else str(cell).strip() for cell in rows[0]]
    # R writes no name above the names of rows, so that the header is shorter by one.
    if len(rows) > 1 and all(len(row) == len(names) + 1 for row in rows[1:]):
        return ["", *names]
    return names


def _columns(names: list[str], rows: list[Sequence[Any]]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for number, cells in enumerate(zip_longest(*rows)):
        name = names[number] if number < len(names) else str(number + 1)
        while name in columns:
            name += "'"
        columns[name] = column(cells)
    return columns


def column(cells: Sequence[Any]) -> Any:
    """Return cells as an array of numbers if all are numbers or missing, else as they are.

    Text with leading zeros or with more than 15 digits is kept as text, since it may be an id.
    """
    if all(isinstance(cell, str | None) for cell in cells):
        return _of_text(cells)
    if all(isinstance(cell, int | float | None) and not isinstance(cell, bool) for cell in cells):
        return np.array([np.nan if cell is None else float(cell) for cell in cells])
    return list(cells)


def _of_text(cells: Sequence[str | None]) -> Any:
    numbers = []
    for cell in cells:
        if cell is None or (text := cell.strip()) in _MISSING:
            numbers.append(np.nan)
        elif _NUMBER.fullmatch(text):
            numbers.append(float(text))
        else:
            return list(cells)
    if np.isnan(numbers).all():
        return list(cells)
    return np.array(numbers)
