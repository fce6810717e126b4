"""Large tables of numbers: lines that are as regular as those before are parsed at once, by pandas."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import numpy as np
import pandas as pd

from memberscan.inspection.readers.table_columns import LONGEST, MISSING, column
from memberscan.inspection.values import Columns

# Before pandas 3.1, numbers are read exactly only if asked for.
_EXACT: Final[dict[str, Any]] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)


def regular(block: str, separator: str, like: Columns) -> Columns | None:
    """Parse lines of a table whose columns hold numbers or text as those of an earlier block.

    It gives what :func:`~memberscan.inspection.readers.table_columns.columns` gives, ten times as fast.

    Parameters
    ----------
    block
        Whole lines.
    separator
        What stands between cells.
    like
        An earlier block of the table.

    Returns
    -------
    Columns or None
        None if anything needs a closer look: quotes, rows of other lengths, text among numbers, or digits
        that may be ids rather than numbers.
    """
    if separator == " " or any(mark in block for mark in '"\0') or not like.columns:
        return None
    if block.count("\r") != block.count("\r\n"):
        return None
    kinds = [isinstance(column, np.ndarray) for column in like.columns.values()]
    data = block.encode()
    if _ids_among_numbers(np.frombuffer(data, np.uint8), separator, np.array(kinds)):
        return None
    options = _EXACT | {
        "dtype": {place: np.float64 if numeric else object for place, numeric in enumerate(kinds)},
        "na_values": {place: list(MISSING) for place, numeric in enumerate(kinds) if numeric},
    }
    try:
        frame = pd.read_csv(
            io.BytesIO(data),
            sep=separator,
            header=None,
            keep_default_na=False,
            skipinitialspace=separator == ",",
            quoting=csv.QUOTE_NONE,
            **options,
        )
    except (ValueError, OverflowError):
        return None
    if frame.shape[1] != len(kinds):
        return None
    found = {
        name: frame[place].to_numpy() if numeric else frame[place].tolist()
        for place, (name, numeric) in enumerate(zip(like.columns, kinds, strict=True))
    }
    return Columns(found) if all(map(_is_settled, found.values())) else None


def _is_settled(cells: np.ndarray | list[Any]) -> bool:
    """Return whether numbers are numbers and text is text, also seen from this block alone."""
    if isinstance(cells, np.ndarray):
        return not bool(np.isnan(cells).all() or np.isinf(cells).any())
    # Cells that a short row lacks are no text.
    return all(isinstance(cell, str) for cell in cells) and isinstance(column(cells), list)


def _ids_among_numbers(data: np.ndarray, separator: str, numeric: np.ndarray) -> bool:
    """Return whether cells in columns of numbers begin with a zero before digits, or with very many digits.

    Parameters
    ----------
    data
        Bytes of whole lines.
    separator
        What stands between cells.
    numeric
        Whether each column is one of numbers.
    """
    # Cells begin behind a separator or a line feed, perhaps with spaces and signs.
    data = np.concatenate([np.array([ord("\n")], np.uint8), data])
    digit = data - np.uint8(ord("0")) < 10
    places = np.flatnonzero((data[1:-1] == ord("0")) & digit[2:] & ~digit[:-2]) + 1
    # Two runs of eight digits, one behind the other, are sixteen, and so on.
    run, length = digit, 1
    while length <= LONGEST and len(run) > length:
        run = run[:-length] & run[length:]
        length *= 2
    if length > LONGEST:
        places = np.concatenate([places, np.flatnonzero(run[1:] & ~digit[: len(run) - 1]) + 1])
    before = places - 1
    while (sign := np.isin(data[before], list(b" +-"))).any():
        before = before - sign
    places = places[np.isin(data[before], list(f"\n{separator}".encode()))]
    if not len(places):
        return False
    lines = np.flatnonzero(data == ord("\n"))
    cells = np.flatnonzero(data == ord(separator))
    starts = lines[np.searchsorted(lines, places) - 1]
    columns = np.searchsorted(cells, places) - np.searchsorted(cells, starts)
    return bool(numeric[np.minimum(columns, len(numeric) - 1)].any())
