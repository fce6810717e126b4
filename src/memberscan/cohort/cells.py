"""Read one cell of a table as missing or as a number, in the spellings that programs and people use."""

from __future__ import annotations

import re

import pandas as pd

_SPELLINGS = """
n/a N/A na NA n.a. N.A. nan NaN NAN -nan -NaN null NULL Null None <NA> missing Missing MISSING
. - -- --- – — ?
NA_integer_ NA_real_ NA_character_ NaT \\N (null) (NULL)
#N/A #n/a #NA #N/A! #NULL! #NV #DIV/0! #VALUE! #REF! #NAME? #NUM! #SPILL! #CALC! #FIELD! #ERROR!
#WERT! #BEZUG! #ZAHL! #ÜBERLAUF! #FELD! #N/D #VALEUR! #NOMBRE! #NOM? #NUL! #VALOR! #NOME? #RIF!
#¡NULO! #¡DIV/0! #¡VALOR! #¡REF! #¿NOMBRE? #¡NUM! Err:502 Err:504 Err:508 Err:522
1.#IND -1.#IND 1.#QNAN -1.#QNAN
"""
_OF_STATA = {f".{letter}" for letter in "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}
MISSING = frozenset(_SPELLINGS.split()) | _OF_STATA | {"", "#N/A N/A"}
"""Ways to write "missing". The word "none" is not among them: it is a valid answer, e.g. about medication.

The defaults of ``pandas.read_csv``, R's NA and <NA>, the missing values of SPSS, SAS and Stata (#NULL!, "."
and ".a" to ".z"), of databases (\\N), the errors of spreadsheets in five languages, and dashes.
"""

_EXPONENT = r"(?:[eEdD][-+]?[0-9]+)?"
_PLAIN = re.compile(rf"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+){_EXPONENT}")
_COMMA = re.compile(rf"[-+]?(?:[0-9]+|[0-9]{{1,3}}(?:[.\s'’][0-9]{{3}})+)(?:,[0-9]+)?{_EXPONENT}")
_POINT = re.compile(rf"[-+]?(?:[0-9]+|[0-9]{{1,3}}(?:[,\s'’][0-9]{{3}})+)(?:\.[0-9]+)?{_EXPONENT}")
_EITHER = re.compile(r"[-+]?[1-9][0-9]{0,2}[,.][0-9]{3}")
"""1,234 and 1.234: one thousand two hundred thirty-four, or a decimal number, depending on the country."""
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?:\.[0-9]{3})*")
_SEPARATORS = re.compile(r"[\s'’]")
_UNIT = re.compile(
    r"(.*[0-9.,])\s*(%|[mck]?m(?:\^?[23]|[²³])?|[mk]?g|m?[lL]|years?|yrs?|y|months?|weeks?|days?|m?s|T)"
)


def is_missing(column: pd.Series) -> pd.Series:
    """Return where a column of stripped text has NaN or one of the ways to write "missing"."""
    return column.isna() | column.isin(list(MISSING))


def looks_numeric(cell: str) -> bool:
    """Return whether a cell is a number in some country's notation, with or without thousands separators."""
    return any(form.fullmatch(cell) for form in (_PLAIN, _COMMA, _POINT))


def has_unit(cell: str) -> bool:
    """Return whether a cell is a number with a unit after it, such as 170 cm or 45%."""
    return (parts := _UNIT.fullmatch(cell)) is not None and looks_numeric(parts[1])


def without_units(column: pd.Series) -> pd.Series:
    """Return a column of text with only the numbers left, if the same unit follows all of them.

    Removes the unit (170 cm, 45%) and the apostrophe with which Excel marks a number as text, and replaces
    a typographic minus sign by a hyphen. A column with any other text is returned unchanged.
    """
    stated = column[~is_missing(column)].unique().tolist()
    plain = {cell: cell.removeprefix("'").replace("\u2212", "-") for cell in stated}
    units = {parts[2] if (parts := _UNIT.fullmatch(text)) else "" for text in plain.values()}
    if len(units) == 1:
        plain = {cell: text.removesuffix(*units).strip() for cell, text in plain.items()}
    if all(cell == text for cell, text in plain.items()) or not all(map(looks_numeric, plain.values())):
        return column
    return column.map(lambda cell: plain.get(cell, cell), na_action="ignore")


def with_decimal_points(column: pd.Series, *, sure: bool = False) -> pd.Series:
    """Return a column of text with its numbers in the form 1234.5, if their notation is unambiguous.

    All cells that are not missing must be numbers in one notation: with decimal commas (1.234,5 or 1 234,5),
    or with decimal points and groups of three (1,234.5). A column is returned unchanged if it has any other
    text, or if every comma could be a decimal comma or a thousands separator, as in 1,234.

    Parameters
    ----------
    column
        Text, stripped.
    sure
        Whether commas are known to be decimal commas, as in files whose cells are separated by semicolons.
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
    """Remove points that separate thousands, in a table with decimal commas in other columns.

    Points are removed only if they must be separators: if a number has two of them (1.234.567), or if shorter
    numbers of the column have none (1.234 beside 950).
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
