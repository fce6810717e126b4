"""How many members of a model an attack can name, if few of those named may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

PRIORS = (0.5, 0.1)
"""Shares of members among the people whom an attacker asks about."""


@dataclass(frozen=True)
class NamedMembers:
    """How many members an attack names at thresholds at which few of all named are non-members.

    Parameters
    ----------
    attack
        Its name.
    rate
        Expected share of non-members among those named.
    members, nonmembers
        People scored.
    named
        Members named, by the share of members among the people asked about; see :data:`PRIORS`.
    """

    attack: str
    rate: float
    members: int
    nonmembers: int
    named: tuple[int, ...]


def name_members(
    attack: str,
    scores: Float[np.ndarray, " people"],
    member: Bool[np.ndarray, " people"],
    rate: float = 0.1,
) -> NamedMembers:
    """Count the members whom an attack names at a controlled false discovery rate.

    Parameters
    ----------
    attack
        Its name.
    scores
        One of each person, higher for members; NaN for people it does not score.
    member
        Who was trained on.
    rate
        Expected share of non-members among those named.
    """
    scored = ~np.isnan(scores)
    inside, outside = scores[scored & member], scores[scored & ~member]
    named = tuple(_named(inside, outside, rate, prior) for prior in PRIORS)
    return NamedMembers(attack, rate, len(inside), len(outside), named)


def _named(
    inside: Float[np.ndarray, " members"],
    outside: Float[np.ndarray, " nonmembers"],
    rate: float,
    prior: float,
) -> int:
    """Return how many members are above a threshold whose expected share of mistakes is low enough.

    Among those asked about there are (1 - prior) / prior non-members for each member, and a threshold names
    as large a share of them as of the non-members scored. One is added to the number of those, since the
    threshold is chosen after looking: with it, the share named is not too low on average (as in conformal
    p-values: Bates, Candès, Lei, Romano and Sesia, Ann. Stat. 51, 2023).
    """
    thresholds = np.sort(inside)[::-1]
    above = np.searchsorted(-thresholds, -thresholds, side="right")
    beyond = len(outside) - np.searchsorted(np.sort(outside), thresholds, side="left")
    mistaken = (1 + beyond) / (1 + len(outside)) * len(inside) * (1 - prior) / prior
    enough = mistaken / (mistaken + above) <= rate
    return int(above[enough].max(initial=0))
