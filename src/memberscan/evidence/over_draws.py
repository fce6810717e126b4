"""Means over draws of estimates that come with an interval over people, when the people are not at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from memberscan.evidence.intervals import LEVEL, Interval, half_width_of_mean
from memberscan.evidence.rounding import error_of

if TYPE_CHECKING:
    from jaxtyping import Float

ANYTHING = (-np.inf, np.inf)
FRACTION = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)
"""What a fraction, and a difference of two or a correlation, can be."""


@dataclass(frozen=True, eq=False)
class OverDraws:
    """An estimate for each draw of members, with its standard error over people.

    Parameters
    ----------
    values
        The estimates.
    errors
        Their standard errors over people, given the trained model; 0 where only draws are covered.
    """

    values: Float[np.ndarray, " draws"]
    errors: Float[np.ndarray, " draws"]

    @classmethod
    def of(cls, intervals: Sequence[Interval]) -> Self:
        """Return the estimates of all draws, from their 95% intervals over people."""
        values = np.array([each.value for each in intervals])
        return cls(values, np.array([error_of(each.low, each.high) for each in intervals]))

    @classmethod
    def alone(cls, values: Sequence[float]) -> Self:
        """Return estimates whose interval covers other draws only."""
        return cls(np.asarray(values, dtype=float), np.zeros(len(values)))

    def __sub__(self, other: Self) -> OverDraws:
        """Return the difference, draw by draw, as if both estimates were of different people.

        Estimates of the same people rise and fall together, so that the interval is too wide for them rather
        than too narrow.
        """
        return OverDraws(self.values - other.values, np.hypot(self.errors, other.errors))

    def half_width(self, level: float = LEVEL) -> float:
        """Return half the width of the interval of the mean.

        Two errors add up, as in :class:`memberscan.evidence.over_seeds.OverSeeds`. The errors over people are
        averaged, and not divided by the number of draws: who is easily told in one draw may be so in all.
        Tests simulate the coverage.
        """
        return half_width_of_mean(self.values, self.errors**2, float(self.errors.mean()) ** 2, level)

    def interval(self, level: float = LEVEL, *, within: tuple[float, float] = ANYTHING) -> Interval:
        """Return the mean over draws with its interval, which is cut to the values that are possible."""
        value, half = float(self.values.mean()), self.half_width(level)
        return Interval(value, max(within[0], value - half), min(within[1], value + half))

    @property
    def covers_something(self) -> bool:
        """Whether there is an interval: one draw without errors over people has none."""
        return len(self.values) > 1 or bool((self.errors > 0).all())
