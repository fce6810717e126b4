"""Round numbers to their standard errors: finer digits reveal people and say nothing about the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

FINEST = 0.001
"""No step is finer than this, however small the error."""
YEARS = 0.1
"""The finest step of ages and errors, years."""
_CLOSEST = 1e-4
_SPAN = 2 * 1.959963984540054
"""Standard errors between the ends of a 95% interval."""
_P_EDGES = (2, 5, 10)
_P_SHOWN = (1.5, 3, 7)


class Measured(float):
    """A number with its standard error, which says to how many digits it may be published.

    Parameters
    ----------
    value
        With all its digits.
    error
        Standard error, in the unit of the number.
    finest
        Finest step to which it is rounded, however small the error.
    """

    error: float
    finest: float

    def __new__(cls, value: float, error: float, *, finest: float = FINEST) -> Self:
        """Return a number that keeps its error; arithmetic with it gives plain numbers."""
        number = super().__new__(cls, value)
        number.error, number.finest = float(error), finest
        return number


def step_below(error: float, *, finest: float = FINEST) -> float:
    """Return the greatest of 1, 2 and 5 times a power of ten that is no greater than ``error``.

    Rounding to such a step adds an error of at most step / sqrt(12), which widens the whole by 4% at most.
    """
    if not error > finest:
        return finest
    power = math.floor(math.log10(error) + 1e-12)
    return max(finest, max(m * 10.0**power for m in (1, 2, 5) if m * 10.0**power <= error * (1 + 1e-9)))


def error_of(low: float, high: float) -> float:
    """Return the standard error that belongs to a 95% interval."""
    return (high - low) / _SPAN


def rounded(value: float, step: float, *, side: float | None = None) -> float:
    """Return the nearest multiple of ``step``.

    Parameters
    ----------
    value
        What is rounded.
    step
        From :func:`step_below`.
    side
        Where given, the result lies on the same side of this number as ``value``; a finer step is taken
        where that needs it, so that what is published never contradicts a decision made on exact numbers.
    """
    return _on_grid(value, step, round, side)


def floored(value: float, step: float, *, side: float | None = None) -> float:
    """Return the greatest multiple of ``step`` up to ``value``, for bounds that promise "at least"."""
    return _on_grid(value, step, lambda x: math.floor(x + 1e-9), side)


def two_decimals(value: float, *, down: bool = False) -> str:
    """Write a fraction with two decimals, more where those would hide its side of 0.5 or 1.

    Sentences and pages write all AUCs in this way, so that a number reads the same everywhere.

    Parameters
    ----------
    value
        Rounded to the step at which it is published.
    down
        Whether to round down, for lower bounds.
    """
    text = ""
    for decimals in (2, 3, 4):
        scale = 10**decimals
        text = f"{math.floor(value * scale + 1e-9) / scale if down else value:.{decimals}f}"
        if (float(text) == 0.5) == (value == 0.5) and (float(text) == 1) == (value == 1):
            break
    return text


def two_decimals_up(value: float) -> str:
    """Write a fraction rounded up to two decimals: never claim to detect more than was detected."""
    return f"{math.ceil(100 * value - 1e-9) / 100:.2f}"


def rounded_p(p: float) -> float:
    """Return one of 1, 0.7, 0.3, 0.15, 0.07, ... for a p-value, each for an interval of the 1-2-5 series.

    A p-value with all its digits is a rank sum with all its digits. The intervals end at .5, .2, .1, .05
    and so on, and their values lie inside: a p-value below .05 or .01 stays below it.
    """
    if p >= 1 - 1e-9:
        return 1.0
    if p <= 1e-6:
        return 1e-6
    # An edge belongs to the interval above it, as in "p < .05".
    power = math.floor(math.log10(p) + 1e-12)
    mantissa = p / 10.0**power
    shown = next(s for edge, s in zip(_P_EDGES, _P_SHOWN, strict=True) if mantissa < edge - 1e-9)
    return round(shown * 10.0**power, 2 - power)


def _on_grid(value: float, step: float, whole: Callable[[float], float], side: float | None) -> float:
    while True:
        result = round(whole(value / step) * step, 9) + 0.0  # never -0.0
        kept = side is None or ((result > side) == (value > side) and (result < side) == (value < side))
        if kept:
            return result
        assert side is not None
        if step <= _CLOSEST:
            return round(side + math.copysign(_CLOSEST, value - side), 9) if value != side else side
        step = step_below(step * 0.75, finest=_CLOSEST)
