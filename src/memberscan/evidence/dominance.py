"""Which recipes no other one beats in both error and leakage, and how certain that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.evidence.intervals import Interval

CHANCE = 0.5


def leakage_of(auc: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
    """Return AUCs as leakage: one below chance is noise, and no less leakage than chance."""
    return np.maximum(auc, CHANCE)


def on_frontier(error: Float[np.ndarray, " n"], leakage: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return which points no other point dominates: no greater in both, and less in one (Pareto, 1896).

    These are estimates: a point may be on the frontier, or off it, by luck.
    """
    order = np.lexsort((error, leakage))
    found = np.zeros(len(error), dtype=bool)
    lowest = np.inf
    for leak in np.unique(leakage[order]):
        group = order[leakage[order] == leak]
        least = error[group].min()
        # Less error than at all smaller leakages; equal points do not dominate each other.
        found[group] = (error[group] == least) & (least < lowest)
        lowest = min(lowest, least)
    return found


def dominates(error: float, leakage: float, other_error: float, other_leakage: float) -> bool:
    """Return whether the first point dominates the other in these estimates."""
    no_worse = error <= other_error and leakage <= other_leakage
    return no_worse and (error < other_error or leakage < other_leakage)


def certainly(error_excess: Interval, auc_excess: Interval) -> bool:
    """Return whether both differences (the other point minus the first) are above zero.

    Both must be shown, each at its own level: an intersection-union test needs no correction for two parts
    (Berger, Technometrics 24, 1982).
    """
    return error_excess.low > 0 and auc_excess.low > 0
