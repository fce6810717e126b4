"""Rows of cells made into columns: names from a first row that is a header, numbers where all cells are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import numpy as np

from memberscan.inspection import column_names
from memberscan.inspection.values import Columns

CELLS: Final = 1 << 20
"""About how many cells are made into columns at a time."""
MISSING: Final = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", "."})
"""Cells of columns of numbers that hold none."""
LONGEST: Final = 15
"""Most digits before the point of a number: a float keeps no more."""
# A number with leading zeros is an id rather than a number, and so is one of more digits.
_ID: Final = re.compile(rf"\n[ +-]*(?:0\d|\d{{{LONGEST + 1}}})")
_NUMBER: Final = re.compile(
    rf"[+-]?(?:0|[1-9]\d{{0,{LONGEST - 1}}}|(?=\.\d))(?:\.\d*)?(?:[eE][+-]?\d{{1,3}})?"
)


def tables(rows: Iterable[Sequence[Any]]) -> Iterator[Columns]:
    """Yield tables of some rows each, all with the names of one header.

    Parameters
    ----------
    rows
        Cells of each row, perhaps of different lengths. The first row is the header if it looks like one;
        without a header, columns are named by their numbers from 1.
    """
    names, rest = header(rows)
    yield from columns(rest, names)


def header(rows: Iterable[Sequence[Any]]) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """Return the names of columns, if the first row holds them, and the rows below."""
    stream = iter(rows)
    first = list(islice(stream, 20))
    named = bool(first) and is_header(first)
    return _names(first) if named else [], chain(first[named:], stream)


def columns(rows: Iterable[Sequence[Any]], names: list[str]) -> Iterator[Columns]:
    """Yield tables of some rows each.

    Parameters
    ----------
    rows
        Cells of each row, perhaps of different lengths.
    names
        Names of the first columns; others are named by their numbers from 1.
    """
    empty = True
    for chunk in _chunks(rows):
        empty = False
        yield Columns(_named(names, chunk))
    if empty and names:
        yield Columns({name: [] for name in names})


def _chunks(rows: Iterable[Sequence[Any]]) -> Iterator[list[list[Any]]]:
    """Yield the columns of some rows at a time; where a row is shorter than others, its cells are None."""
    # One list of all cells takes a third of the time that a list of rows and its transposition take.
    cells: list[Any] = []
    width = 0
    for row in rows:
        if len(row) > width:
            if cells and len(cells) // width * len(row) > 4 * CELLS:
                # One long row would make all rows before it long.
                yield [cells[number::width] for number in range(width)]
                cells = []
            cells = _widened(cells, width, len(row))
            width = len(row)
        cells += row
        if len(row) < width:
            cells += [None] * (width - len(row))
        if len(cells) >= CELLS:
            yield [cells[number::width] for number in range(width)]
            cells, width = [], 0
    if cells:
        yield [cells[number::width] for number in range(width)]


def _widened(cells: list[Any], width: int, wider: int) -> list[Any]:
    if not cells:
        return cells
    rows = (cells[start : start + width] for start in range(0, len(cells), width))
    return [cell for row in rows for cell in (*row, *[None] * (wider - width))]


def is_header(rows: Sequence[Sequence[Any]]) -> bool:
    """Return whether the first of some rows names the columns.

    It does if none of its cells is a number and at most one is empty; where a cell is there twice, only if
    there are numbers below. Names may also be numbers, such as 0, 1, 2 of a pandas table, years, or ids of
    people: then it does if a word stands above a column of numbers, if a cell names a column about people,
    or if all numbers in it count up by one.
    """
    cells = ["" if cell is None else str(cell).strip() for cell in rows[0]]
    named = [cell for cell in cells if cell]
    if len({*named}) == len(named) and (
        _counts(named) or any(_names_numbers(rows, k) or _names_people(rows, k) for k in range(len(cells)))
    ):
        return True
    if len(named) < max(1, len(cells) - 1) or any(is_number_or_missing(cell) for cell in named):
        return False
    return len({*named}) == len(named) or any(is_number_or_missing(cell) for row in rows[1:] for cell in row)


def _names_numbers(rows: Sequence[Sequence[Any]], place: int) -> bool:
    """Return whether the first cell of a column is a word, and all below it are numbers."""
    cells = ["" if cell is None else str(cell).strip() for row in rows for cell in row[place : place + 1]]
    first, *below = cells
    return (
        len(below) >= 2
        and first[:1].isalpha()
        and not is_number_or_missing(first)
        and all(_NUMBER.fullmatch(cell) for cell in below)
    )


def _names_people(rows: Sequence[Sequence[Any]], place: int) -> bool:
    """Return whether the first cell of a column names one about people, and is not a value of it."""
    first, *below = [str(cell).strip() for row in rows for cell in row[place : place + 1]] or [""]
    return column_names.normalised(first) in column_names.PEOPLE and first not in below


def _counts(named: Sequence[str]) -> bool:
    """Return whether the numbers among names are 0, 1, 2 and so on; beside a word, perhaps 1, 2, 3."""
    numbers = [cell for cell in named if _NUMBER.fullmatch(cell)]
    words = len(numbers) < len(named)
    return len(numbers) >= 2 + words and any(
        numbers == [str(first + k) for k in range(len(numbers))] for first in range(1 + words)
    )


def is_number_or_missing(cell: Any) -> bool:
    """Return whether a cell holds a number, or says that there is none."""
    text = "" if cell is None else str(cell).strip()
    return text in MISSING or bool(_NUMBER.fullmatch(text))


def _names(rows: Sequence[Sequence[Any]]) -> list[str]:
    names = ["" if cell is None else str(cell).strip() for cell in rows[0]]
    # R writes no name above the names of rows, so that the header is shorter by one.
    if len(rows) > 1 and all(len(row) == len(names) + 1 for row in rows[1:]):
        return ["", *names]
    return names


def _named(names: list[str], columns: list[list[Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, cells in enumerate(columns):
        name = names[number] if number < len(names) else str(number + 1)
        while name in found:
            name += "'"
        found[name] = column(cells)
    return found


def column(cells: Sequence[Any]) -> Any:
    """Return cells as an array of numbers if all are numbers or missing, else as they are.

    Text with leading zeros or with more than 15 digits is kept as text, since it may be an id.
    """
    kinds = set(map(type, cells))
    if kinds <= {str, type(None)}:
        return _of_text(cells)
    if kinds <= {int, float, type(None)}:
        return np.array([np.nan if cell is None else float(cell) for cell in cells])
    return list(cells)


def _of_text(cells: Sequence[str | None]) -> Any:
    filled: Any = cells
    try:
        numbers = list(map(float, filled))
    except (ValueError, TypeError):
        # Most columns of text show it in their first cells.
        if not all(cell is None or is_number_or_missing(cell) for cell in cells[:100]):
            return list(cells)
        filled = ["nan" if cell is None or cell.strip() in MISSING else cell for cell in cells]
        try:
            numbers = list(map(float, filled))
        except ValueError:
            return list(cells)
        if np.isnan(numbers).all():
            return list(cells)
    # Python takes 1_000 for a number, and ids of digits, too.
    joined = "\n" + "\n".join(filled)
    return list(cells) if "_" in joined or _ID.search(joined) else np.array(numbers)
