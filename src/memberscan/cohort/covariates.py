"""The one rule for which columns of a user's table count as covariates."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from memberscan.cohort.cells import MISSING, missing_as_nan, with_decimal_points
from memberscan.cohort.text_table import read_text_table

__all__ = ["MISSING", "as_covariate", "as_numbers", "missing_as_nan", "read_text_table", "select_covariates"]

MAXIMUM_TEXT_LEVELS = 20


def select_covariates(
    table: pd.DataFrame, exclude: Collection[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the columns that a blind baseline may see.

    A column is kept if it holds numbers, or text with at most 20 levels. Text with more levels is as good as
    a name of the person: it is left out, and returned by name so that it can be reported.

    Parameters
    ----------
    table
        One row a scan or a subject; missing values are NaN.
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
        few = as_numbers(table[name]) is not None or table[name].nunique() <= MAXIMUM_TEXT_LEVELS
        (kept if few else ignored).append(str(name))
    return tuple(kept), tuple(ignored)


def as_numbers(column: pd.Series) -> pd.Series | None:
    """Return a column as floats (infinite becomes missing), or None if some value of it is not a number."""
    if column.dtype == bool:
        return None
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if not (numbers.isna() == column.isna()).all():
        if not isinstance(column.dtype, pd.StringDtype) or (plain := with_decimal_points(column)) is column:
            return None
        return as_numbers(plain)
    return numbers.where(np.isfinite(numbers))


def as_covariate(column: pd.Series) -> pd.Series:
    """Return a column as floats where it holds numbers, else as text."""
    numbers = as_numbers(column)
    return column if numbers is None else numbers
