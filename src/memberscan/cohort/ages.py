"""Ages as people write them, turned into years."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memberscan.errors import ParticipantsError

if TYPE_CHECKING:
    from jaxtyping import Float

MAXIMUM_AGE = 120.0
_SCALED = 0.5
"""Ages between 0 and 1 with a range above this were divided by 100, or scaled to lie between 0 and 1."""
_FEWEST_STRANGE = 5
"""Codes for "missing", such as -9, 99 and 999, and typing errors give fewer distinct values than this."""

_WRITTEN_AGE = re.compile(
    r"(?P<over>>=?|≥)?\s*(?P<number>[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?)\s*(?:(?P<plus>\+)\s*)?"
    r"(?:(?P<unit>y|yrs?|years?|m|months?|w|weeks?|d|days?)\.?(?: old)?)?",
    re.IGNORECASE,
)

_PER_YEAR = {"y": 1.0, "yr": 1.0, "year": 1.0, "m": 12.0, "mo": 12.0, "month": 12.0}
_PER_YEAR |= {"w": 365.25 / 7, "wk": 365.25 / 7, "week": 365.25 / 7, "d": 365.25, "day": 365.25}


class Age(NamedTuple):
    """An age in years (NaN where none is given), and a note where the number is only a lower limit."""

    years: float
    note: str = ""


def parse_age(text: str, *, per_year: float = 1.0) -> Age:
    """Read an age as written in a table.

    Parameters
    ----------
    text
        Such as ``"26.9"``, ``"26,9"``, ``"89+"``, ``"026Y"`` or ``"n/a"``.
    per_year
        How many of the column's units make a year, from :func:`units_per_year`; a unit written beside the
        number takes precedence.

    Returns
    -------
    Age
        In years; NaN if the text is not a number. "89+" (also ">89", ">=89") is kept as 89 years, with a
        note: many archives hide the exact ages of the oldest subjects, so this number is a lower limit.
    """
    match = _WRITTEN_AGE.fullmatch(text.strip())
    if match is None:
        return Age(math.nan)
    number = float(match["number"].replace(",", "."))
    years = number / (units_per_year(match["unit"]) if match["unit"] else per_year)
    limit = bool(match["over"] or match["plus"])
    return Age(years, f"written {text.strip()}") if limit else Age(years)


def units_per_year(units: str) -> float:
    """Return how many of a unit make a year: "years", "months", "weeks", "days", or a short form of these.

    Raises
    ------
    ParticipantsError
        If the unit is none of these.
    """
    name = units.strip().lower()
    for known in (name, name.removesuffix("s"), name.removesuffix(".")):
        if known in _PER_YEAR:
            return _PER_YEAR[known]
    raise ParticipantsError(
        f'the units of "age" are {units!r}; write "Units": "years", "months", "weeks" or "days" in the JSON'
    )


def age_problem(text: str, age: Age) -> str:
    """Return why a scan cannot be used with this age, or "" if it can."""
    if not math.isfinite(age.years):
        return f"no age (written {text!r})" if text.strip() else "no age"
    if not 0 <= age.years <= MAXIMUM_AGE:
        return f"implausible age ({age.years:g} years)"
    return ""


def unit_problem(ages: Float[np.ndarray, " n"]) -> str:
    """Return which unit other than years a column of ages seems to use, or "" if it may be in years.

    Single implausible values are left to :func:`age_problem`. The whole column is rejected if at least five
    distinct values, and at least 1% of all values, cannot be ages in years: some ages in months and some
    z-scores would pass for years. It is also rejected if all values lie between 0 and 1 and are more spread
    out than the ages of newborns.

    Parameters
    ----------
    ages
        As given in years; NaN where missing.
    """
    known = ages[np.isfinite(ages)]
    span = f"they go from {known.min():g} to {known.max():g}" if len(known) else ""
    scaled = len(known) and known.min() >= 0 and known.max() <= 1 and np.ptp(known) > _SCALED
    if scaled and len(np.unique(known)) >= _FEWEST_STRANGE:
        return f"the ages seem to be scaled to the range from 0 to 1 ({span})"
    strange = known[(known < 0) | (known > MAXIMUM_AGE)]
    if len(np.unique(strange)) < _FEWEST_STRANGE or len(strange) < len(known) / 100:
        return ""
    if np.mean(strange < 0) >= 0.5:
        return f"the ages seem to be standardised or centred ({span})"
    if np.mean((known > 1880) & (known < 2100)) > 0.9:
        return f"the ages seem to be years of birth ({span})"
    unit = "days" if np.median(known) > 12 * MAXIMUM_AGE else "weeks or months"
    return f"the ages seem to be in {unit} ({span})"
