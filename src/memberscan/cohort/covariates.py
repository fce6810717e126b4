"""The rule that decides which columns of a user's table are covariates, and which of those are numbers."""

from __future__ import annotations

import re
from collections.abc import Collection
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

MAXIMUM_TEXT_LEVELS = 20
FEWEST_ROW_NUMBERS = 10
"""Shorter columns may count 1, 2, 3 by chance."""
_JOINED = 5
"""Most tables joined one below the other; a column that restarts more often counts something else."""
_OF_ROWS = re.compile(
    r"x(\.[0-9]+)?|v1|index|idx|level_[0-9]+|row.*|record.*|obs|n[ro]\.?|lfd\.? ?nr\.?|#|key|"
    r"(.*[ _.-])?(id|ids)|(?-i:.*[a-z]ID)|[erpu]id|ptid|guid",
    re.IGNORECASE,
)
"""Names that R, pandas and people give to numbers of rows, and to ids."""


def select_covariates(
    table: pd.DataFrame, exclude: Collection[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the columns that a blind baseline may see.

    A column is kept if it holds numbers, or text with at most 20 levels. Text with more levels is as good as
    a name of the person, and so are numbers that only tell rows or people apart
    (:func:`names_rows`). These, and a column without a name, are left out, and returned by name so that they
    can be reported.

    Parameters
    ----------
    table
        One row per scan or subject; missing values are NaN.
    exclude
        Columns with another meaning (ids, age), in neither part of the answer.

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
    """Return whether numbers only tell rows or people apart.

    They count the rows from 0, as pandas does, or from 1, as R does, perhaps from the start in each of
    several joined tables. Or they are whole, differ between people, and their name says that they are ids or
    numbers of rows, which may have gaps after some rows were taken out, or another order.
    """
    if len(numbers) < FEWEST_ROW_NUMBERS:
        return False
    if _counts(numbers.to_numpy(float)):
        return True
    if _OF_ROWS.fullmatch(name) is None:
        return False
    known = numbers.dropna()
    fewest = len(known) if len(known) <= MAXIMUM_TEXT_LEVELS else max(MAXIMUM_TEXT_LEVELS + 1, len(known) / 3)
    return known.nunique() >= fewest and bool((known % 1 == 0).all())


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
    """Return a column as floats (infinite becomes missing), or None if some value of it is not a number."""
    if column.dtype == bool:
        return None
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if not (numbers.isna() == column.isna()).all():
        return None
    return numbers.where(np.isfinite(numbers))


def as_covariate(column: pd.Series) -> pd.Series:
    """Return a column as floats where it holds numbers, else as text."""
    numbers = as_numbers(column)
    return column if numbers is None else numbers


def typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return a table of text with its numbers as floats, and missing cells as NaN.

    A column that is numbers but for a few cells is refused rather than taken for text, which would drop it:
    one where more than half of the stated cells look like numbers. It may be text all the same if it holds
    codes, such as 1, 2, 3a: at most 20 levels, each in two rows or more on average, and one cell in ten is
    no number.

    Parameters
    ----------
    table
        From ``read_text_table``.
    path
        Its file, for messages.

    Raises
    ------
    ParticipantsError
        If a column is numbers but for a few cells; the message quotes one.
    """
    columns = {name: _typed(table[name], str(name), path) for name in table.columns}
    return pd.DataFrame(columns, index=table.index)


def _typed(column: pd.Series, name: str, path: Path) -> pd.Series:
    # Each level once: a million rows of two levels are not a million numbers to read.
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
            f"{path}: column {name!r} holds numbers but for a few cells, such as {cell!r} in row {row}; "
            "write a number there, with a decimal point and thousands not separated, or n/a if it is missing"
        )
    return text


def _stray_cell(text: pd.Series) -> str | None:
    """Return a cell that keeps a column from being numbers, or None if it is text by :func:`typed`'s rule."""
    count = text.value_counts()
    many = len(count) > MAXIMUM_TEXT_LEVELS
    alike = np.array([looks_numeric(x) or (many and has_unit(x)) for x in count.index], dtype=bool)
    rows, numeric = int(count.sum()), int(count[alike].sum())
    codes = len(count) <= min(MAXIMUM_TEXT_LEVELS, rows / 2) and rows - numeric >= rows / 10
    if 2 * numeric <= rows or codes:
        return None
    stated = text.dropna()
    return str(stated[pd.to_numeric(stated, errors="coerce").isna()].iloc[0])
