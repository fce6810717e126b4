"""How large a hidden difference would have to be to explain a finding, by the finding's lower bound."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from memberscan.evidence.sensitivity import least_hidden_difference

BOUNDS = (0.55, 0.6, 0.67, 0.75, 0.9)
SEPARATIONS = (0.9, 0.75)
"""Chances that the attack ranks a person of the one kind above a person of the other; 1 comes first."""


def hidden_differences() -> pd.DataFrame:
    """Return one row for each lower bound; nothing is simulated.

    Returns
    -------
    DataFrame
        ``lower_bound`` of the AUC; ``two_kinds``: the least difference between the shares of members and of
        non-members who are of the one kind, if the attack separates the two kinds completely;
        ``two_kinds_A``: the same if it ranks a person of the one kind above a person of the other with
        probability A, NaN where no difference is large enough; ``both_equal``: that difference and 2 A - 1
        where they are equal; ``many_kinds``: the least total variation distance with any number of kinds.
    """
    rows = []
    for bound in BOUNDS:
        least = least_hidden_difference(bound)
        row = {"lower_bound": bound, "two_kinds": least.two_kinds}
        row |= {f"two_kinds_{a:g}": _with_separation(bound, a) for a in SEPARATIONS}
        row |= {"both_equal": math.sqrt(least.two_kinds), "many_kinds": least.any_kinds}
        rows.append(row)
    return pd.DataFrame(rows)


def _with_separation(bound: float, separation: float) -> float:
    """Return the least difference of shares if two people of different kinds are told apart this well."""
    difference = (bound - 0.5) / (separation - 0.5)
    return difference if difference <= 1 else np.nan
