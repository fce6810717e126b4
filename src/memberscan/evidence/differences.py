"""Differences between two audits: of AUCs on the same people, and of estimates that nobody can pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.intervals import Interval
from memberscan.evidence.over_seeds import OverSeeds, auc_over_seeds

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def auc_of_people(scores: Float[np.ndarray, " people"], member: Bool[np.ndarray, " people"]) -> OverSeeds:
    """Return the AUC of scores, with what each person adds to its deviation (DeLong).

    Two of these over the same people are subtracted person by person. Someone who is a member of one model
    only, or was scored in one audit only, adds to the difference what it adds to each.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988.

    Parameters
    ----------
    scores
        Higher means more likely a member; NaN for people who were not scored.
    member
        Who was trained on.
    """
    return auc_over_seeds([scores], member[None], ~np.isnan(scores)[None])


def difference_of_independent(one: Interval, other: Interval) -> Interval:
    """Return the first estimate minus the second, with its interval, from the intervals of both alone.

    Each end is as far away as two independent errors put it (MOVER: Zou and Donner, Statistics in Medicine
    27, 2008; Newcombe, Statistics in Medicine 17, 1998). If both are of the same people, their errors mostly
    go in the same direction, and the interval is too wide rather than too narrow.

    Parameters
    ----------
    one, other
        Estimates with intervals of the same level.
    """
    below = np.hypot(one.value - one.low, other.high - other.value)
    above = np.hypot(one.high - one.value, other.value - other.low)
    value = one.value - other.value
    return Interval(value, value - float(below), value + float(above))
