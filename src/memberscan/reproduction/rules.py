"""When a figure agrees with a claim, when it disagrees, and when it cannot be judged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from memberscan.evidence.intervals import Interval
from memberscan.evidence.rounding import floored, rounded
from memberscan.reproduction.content import Outcome

STEP = 0.01
CLOSE = 0.05
"""Accuracies this close count as the same: five percentage points."""


@dataclass(frozen=True)
class Rule:
    """The values that agree with a claim: those between two ends, or with ``outside`` all others.

    Parameters
    ----------
    words
        The rule in words.
    low, high
        The ends.
    outside
        Whether values beyond the ends agree, and ``centre`` alone disagrees.
    """

    words: str
    low: float = -math.inf
    high: float = math.inf
    outside: bool = False

    def judge(self, found: Interval) -> Outcome:
        """Return whether the interval of a figure agrees.

        It agrees if every value in the interval agrees with the claim, and disagrees if none does. A wide
        interval therefore cannot be judged, and is never taken for agreement or disagreement.
        """
        inside = self.low <= found.low and found.high <= self.high
        apart = found.high < self.low or found.low > self.high
        if self.outside:
            inside, apart = not found.low <= 0 <= found.high, inside
        return "agrees" if inside else "disagrees" if apart else "cannot be judged"


def at_least(bound: float) -> Rule:
    """Return the rule that a value is at least ``bound``."""
    return Rule(f"at least {bound:.2f}", low=bound)


def above(bound: float) -> Rule:
    """Return the rule that a value is above ``bound``."""
    return Rule(f"above {bound:.2f}", low=math.nextafter(bound, math.inf))


def near(value: float) -> Rule:
    """Return the rule that a value differs from the paper's by no more than :data:`CLOSE`."""
    return Rule(f"{value - CLOSE:.3f} to {value + CLOSE:.3f}", value - CLOSE, value + CLOSE)


def different() -> Rule:
    """Return the rule that a difference is not zero; one within :data:`CLOSE` of zero disagrees."""
    return Rule(f"not 0.00; disagrees if it is, to within {CLOSE:.2f}", -CLOSE, CLOSE, outside=True)


def outward(found: Interval) -> Interval:
    """Return an estimate rounded to two decimals; its ends are rounded away from each other.

    Means of numbers that are published may be published with any digits.
    """
    low, high = floored(found.low, STEP), -floored(-found.high, STEP) + 0.0
    return Interval(rounded(found.value, STEP), low, high)
