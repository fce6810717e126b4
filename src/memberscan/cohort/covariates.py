"""The one rule for which columns of a user's table count as covariates, and how such tables are read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.errors import ParticipantsError

MAXIMUM_TEXT_LEVELS = 20
MISSING = ("", "n/a", "N/A", "NA", "NaN", "nan")


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
        return None
    return numbers.where(np.isfinite(numbers))


def as_covariate(column: pd.Series) -> pd.Series:
    """Return a column as floats where it holds numbers, else as text."""
    numbers = as_numbers(column)
    return column if numbers is None else numbers


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a TSV or CSV with every cell as text, exactly as written ("" for an empty one).

    Raises
    ------
    ParticipantsError
        If the file is missing, empty, not UTF-8, not a table, or repeats a column name.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            header = stream.readline()
        separator = "\t" if "\t" in header or path.suffix == ".tsv" else ","
        table = pd.read_csv(
            path, sep=separator, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except FileNotFoundError as error:
        raise ParticipantsError(f"{path} does not exist; check the path") from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ParticipantsError(
            f"{path} cannot be read as a table ({error}); save it as UTF-8 TSV or CSV with one header row"
        ) from error
    table = table.fillna("")
    names = table.iloc[0].str.strip()
    if names.duplicated().any():
        repeated = ", ".join(sorted(set(names[names.duplicated()])))
        raise ParticipantsError(f"{path} has several columns called {repeated}; rename or remove all but one")
    return files.without_marks(table.iloc[1:].set_axis(list(names), axis="columns").reset_index(drop=True))


def missing_as_nan(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of text with the usual ways to write "missing" replaced by NaN."""
    return table.mask(table.isin(MISSING))
