"""What one cell of a table says: nothing, or a number, as programs and people write them."""

from __future__ import annotations

import re

import pandas as pd

_SPELLINGS = """
n/a N/A na NA n.a. N.A. nan NaN NAN -nan -NaN null NULL Null None <NA> missing Missing MISSING
. - -- --- – — ?
#N/A #n/a #NA #NULL! #NV #DIV/0! #VALUE! #REF! #NAME? #NUM! #WERT! #BEZUG! #ZAHL! #VALEUR! #NOMBRE!
1.#IND -1.#IND 1.#QNAN -1.#QNAN .a .b .c .d .e .f .g .h .i .j .k .l .m .n .o .p .q .r .s .t .u .v .w .x .y .z
"""
MISSING = frozenset(_SPELLINGS.split()) | {"", "#N/A N/A"}
"""Ways to write "missing". The word none is not among them: it is an answer, to a question about medication.

The defaults of ``pandas.read_csv``, R's NA and <NA>, the missing values of SPSS, SAS and Stata (#NULL!, "."
and ".a" to ".z"), Excel's errors in English, German and French, and dashes.
"""

_EXPONENT = r"(?:[eE][-+]?[0-9]+)?"
_PLAIN = re.compile(rf"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+){_EXPONENT}")
_COMMA = re.compile(rf"[-+]?(?:[0-9]+|[0-9]{{1,3}}(?:[.\s'’][0-9]{{3}})+)(?:,[0-9]+)?{_EXPONENT}")
_POINT = re.compile(rf"[-+]?(?:[0-9]+|[0-9]{{1,3}}(?:[,\s'’][0-9]{{3}})+)(?:\.[0-9]+)?{_EXPONENT}")
_EITHER = re.compile(r"[-+]?[1-9][0-9]{0,2}[,.][0-9]{3}")
"""1,234 and 1.234: a thousand and more in one country, a little more than one in another."""
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?:\.[0-9]{3})*")
_SEPARATORS = re.compile(r"[\s'’]")


def is_missing(column: pd.Series) -> pd.Series:
    """Return where a column of stripped text holds one of the ways to write "missing", or NaN."""
    return column.isna() | column.isin(list(MISSING))


def missing_as_nan(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of text with the usual ways to write "missing" replaced by NaN."""
    return table.mask(table.apply(is_missing))


def looks_numeric(cell: str) -> bool:
    """Return whether a cell is a number in the writing of some country, with thousands separated or not."""
    return any(form.fullmatch(cell) for form in (_PLAIN, _COMMA, _POINT))


def with_decimal_points(column: pd.Series, *, sure: bool = False) -> pd.Series:
    """Return a column of text with its numbers written plainly, if it is certain what they are.

    All cells that are not missing must be numbers of one writing: with decimal commas (1.234,5 or 1 234,5),
    or with decimal points and groups of three (1,234.5). A column is returned as it came where it holds
    anything else, or where each of its commas could be either, as in 1,234.

    Parameters
    ----------
    column
        Text, stripped.
    sure
        Whether commas are known to be decimal commas, as they are where semicolons separate the cells.
    """
    stated = column[~is_missing(column)].unique().tolist()
    separated = [cell for cell in stated if "," in cell or _SEPARATORS.search(cell)]
    if not separated:
        return column
    certain = not all(_EITHER.fullmatch(cell) for cell in separated)
    if all(map(_COMMA.fullmatch, stated)) and any("," in cell for cell in separated):
        if sure or (certain and not any("." in cell and _EITHER.fullmatch(cell) for cell in stated)):
            return _respell(column, stated, thousands=".", decimal=",")
    elif all(map(_POINT.fullmatch, stated)) and certain:
        return _respell(column, stated, thousands=",", decimal=".")
    return column


def without_thousands(column: pd.Series) -> pd.Series:
    """Return a column without points that separate thousands, in a table with decimal commas elsewhere.

    Only if a number has two of them, or shorter numbers go without: 1.234.567, or 1.234 beside 950.
    """
    stated = column[~is_missing(column)].unique().tolist()
    points = [cell.count(".") for cell in stated]
    telling = max(points, default=0) > 1 or {0, 1} <= set(points)
    if telling and all(map(_GROUPED.fullmatch, stated)):
        return _respell(column, stated, thousands=".", decimal=",")
    return column


def _respell(column: pd.Series, cells: list[str], *, thousands: str, decimal: str) -> pd.Series:
    plain = {cell: _SEPARATORS.sub("", cell).replace(thousands, "").replace(decimal, ".") for cell in cells}
    return column.map(lambda cell: plain.get(cell, cell), na_action="ignore")
