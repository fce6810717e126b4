"""The rule that decides which columns of a user's table are covariates, and which of those are numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.cohort.cells import (
    has_unit,
    is_missing,
    looks_numeric,
    with_decimal_points,
    without_units,
)
from memberscan.cohort.text_table import is_nameless
from memberscan.errors import ParticipantsError

if TYPE_CHECKING:
    from jaxtyping import Float

SEX = ("sex", "gender")
SITE = ("site", "site_id", "scanner", "scanner_id", "centre", "center")
"""What columns that say a person's sex, or where a person was scanned, are called; the first counts."""
MAXIMUM_TEXT_LEVELS = 20
FEWEST_ROW_NUMBERS = 10
"""Fewest rows that can be row numbers; shorter columns may go 1, 2, 3 by chance."""
_JOINED = 5
"""Most tables that may be joined one below the other; a column that restarts more often is no row number."""
_OF_ROWS = re.compile(
    r"x(\.[0-9]+)?|v1|index|idx|level_[0-9]+|row.*|record.*|obs|n[ro]\.?|lfd\.? ?nr\.?|#|key|"
    r"(.*[ _.-])?(id|ids)|(?-i:.*[a-z]ID)|[erpu]id|ptid|guid",
    re.IGNORECASE,
)
"""Names that R, pandas and people give to row numbers and ids."""


def column_named(columns: Iterable[object], names: Sequence[str]) -> str | None:
    """Return the column that has the first of these names, in any case; None if there is none."""
    written = {str(column).lower(): str(column) for column in columns}
    return next((written[name] for name in names if name in written), None)


def select_covariates(
    table: pd.DataFrame, exclude: Collection[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the columns that a blind baseline may use.

    A column is kept if it holds numbers, or text with at most 20 levels. Text with more levels may identify
    people, and so do numbers that only label rows or people (:func:`names_rows`). Such columns, and columns
    without a name, are left out; their names are returned so that they can be reported.

    Parameters
    ----------
    table
        One row per scan or subject; missing values are NaN.
    exclude
        Columns with another meaning (ids, age); they are in neither list.

    Returns
    -------
    kept, ignored
        Column names, in the order of the table. A kept column may be constant, or missing for everyone.
    """
    kept: list[str] = []
    ignored: list[str] = []
    for name in table.columns:
        if name in exclude:
            continue
        (kept if _describes_people(str(name), table[name]) else ignored).append(str(name))
    return tuple(kept), tuple(ignored)


def _describes_people(name: str, column: pd.Series) -> bool:
    if is_nameless(name):
        return False
    few = column.nunique() <= MAXIMUM_TEXT_LEVELS
    if few and len(column) > MAXIMUM_TEXT_LEVELS:
        return True
    numbers = as_numbers(column)
    if numbers is None:
        return few
    return not names_rows(name, numbers)


def names_rows(name: str, numbers: pd.Series) -> bool:
    """Return whether the numbers of a column only label rows or people.

    There are two such cases. The numbers count the rows from 0 (pandas) or from 1 (R), possibly starting
    again in each of several joined tables. Or they are integers that differ between people, in a column
    called like ids or row numbers; these may have gaps where rows were removed, and be in any order.
    """
    if len(numbers) < FEWEST_ROW_NUMBERS:
        return False
    if _counts(numbers.to_numpy(float)):
        return True
    if _OF_ROWS.fullmatch(name) is None:
        return False
    known = numbers.dropna()
    fewest = len(known) if len(known) <= MAXIMUM_TEXT_LEVELS else max(MAXIMUM_TEXT_LEVELS + 1, len(known) / 3)
    return known.nunique() >= max(fewest, 1) and bool((known % 1 == 0).all())


def _counts(values: Float[np.ndarray, " rows"]) -> bool:
    start = values[0]
    if start not in (0, 1):
        return False
    again = values[1:] == start
    one_more = np.diff(values) == 1
    tables = 1 + np.count_nonzero(again)
    long = len(values) >= FEWEST_ROW_NUMBERS * tables
    return bool(long and tables <= _JOINED and (again | one_more).all())


def as_numbers(column: pd.Series) -> pd.Series | None:
    """Return a column as floats (infinite becomes missing), or None if any value is not a number."""
    if column.dtype == bool:
        return None
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if not (numbers.isna() == column.isna()).all():
        return None
    return numbers.where(np.isfinite(numbers))


def as_covariate(column: pd.Series) -> pd.Series:
    """Return a column as floats if it holds numbers, else as text."""
    numbers = as_numbers(column)
    return column if numbers is None else numbers


def typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Convert a table of text: columns of numbers become floats, and missing cells NaN.

    A column where more than half of the cells that are not missing look like numbers, but not all are
    numbers, is refused. Reading it as text would silently drop it as a covariate. The exception is a column
    of codes such as 1, 2, 3a: at most 20 levels, at least two rows per level on average, and at least one
    cell in ten that is not a number. Codes are kept as text.

    Parameters
    ----------
    table
        From ``read_text_table``.
    path
        The table's file, to name it in messages.

    Raises
    ------
    ParticipantsError
        If a column holds numbers except for a few cells; the message quotes one of these.
    """
    columns = {name: _typed(table[name], str(name), path) for name in table.columns}
    return pd.DataFrame(columns, index=table.index)


def _typed(column: pd.Series, name: str, path: Path) -> pd.Series:
    # Convert each level once: a column of a million rows with two levels needs two conversions.
    codes, levels = pd.factorize(column, use_na_sentinel=False)
    values = pd.to_numeric(levels.to_series(), errors="coerce").to_numpy(float)
    numbers = pd.Series(values[codes], index=column.index, name=column.name)
    if is_missing(levels[np.isnan(values)].to_series()).all():
        return numbers.where(np.isfinite(numbers))
    text = column.mask(is_missing(column))
    many = len(levels) > MAXIMUM_TEXT_LEVELS
    plain = with_decimal_points(without_units(text) if many else text)
    if plain is not text:
        return as_covariate(plain)
    if not is_nameless(name) and (cell := _stray_cell(text)) is not None:
        row = column.tolist().index(cell) + 2
        raise ParticipantsError(
            f"{path}: column {name!r} holds numbers except for a few cells, such as {cell!r} in row {row}; "
            "write a number there, with a decimal point and no thousands separators, or n/a if it is missing"
        )
    return text


def _stray_cell(text: pd.Series) -> str | None:
    """Return a cell that is not a number in a column of numbers; None if :func:`typed` keeps it as text."""
    count = text.value_counts()
    many = len(count) > MAXIMUM_TEXT_LEVELS
    alike = np.array([looks_numeric(x) or (many and has_unit(x)) for x in count.index], dtype=bool)
    rows, numeric = int(count.sum()), int(count[alike].sum())
    codes = len(count) <= min(MAXIMUM_TEXT_LEVELS, rows / 2) and rows - numeric >= rows / 10
    if 2 * numeric <= rows or codes:
        return None
    stated = text.dropna()
    return str(stated[pd.to_numeric(stated, errors="coerce").isna()].iloc[0])
