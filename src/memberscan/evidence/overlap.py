"""How many people have people alike on the other side: nobody else can be compared, whatever is adjusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from memberscan.evidence.roc import comparable, weights_in_auc
from memberscan.evidence.rounding import rounded, step_below
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

Extent = Literal["good", "partial", "failed"]

GOOD = 0.75
"""From this effective share of members upwards an answer about people alike speaks for most members."""
FAILED = 0.3
"""Below it, the people alike are too small a part of the members to speak of these. A convention: members
who are two standard deviations older have .45, and those who are three have .20."""
STEP = 0.05
"""Finest step of published shares: neither they nor their difference from one counts a few people."""


@dataclass(frozen=True)
class Overlap:
    """How far the two sides overlap in the covariates, as shares of each side between 0 and 1.

    Shares are rounded, so that they reveal nobody, and the extent follows from the rounded ones.

    Parameters
    ----------
    members, nonmembers
        Share of the side who have people alike on the other: their stratum holds at least two of each side.
    effective_members, effective_nonmembers
        Share of the side that would give as precise a comparison if each person weighed the same (Kish,
        Survey Sampling, 1965). A person weighs as much as there are people of the other side in the stratum,
        so that one member among many non-members weighs much, and many members beside two non-members little.

    Notes
    -----
    The first two rise with the number of people: two non-members are soon found anywhere. The effective
    shares do not, and decide. If members are d standard deviations older than others, the effective share is
    about .94 for d = .5, .80 for 1, .45 for 2, .20 for 3 and .07 for 4. If a share p of members and 1 - p of
    others have one scanner, and the rest another, it is 4 p (1 - p): .36 for p = .9, .19 for p = .95.
    """

    members: float
    nonmembers: float
    effective_members: float
    effective_nonmembers: float

    @property
    def extent(self) -> Extent:
        """How far an answer about people alike speaks for the members.

        It is "good" from an effective share of members of three quarters, "failed" below three tenths. The
        share of others does not count: many others unlike any member take nothing from what is said of
        members.
        """
        if self.effective_members < FAILED:
            return "failed"
        return "good" if self.effective_members >= GOOD else "partial"


def diagnose_overlap(
    targets: Iterable[tuple[Bool[np.ndarray, " people"], Int[np.ndarray, " people"]]],
) -> Overlap:
    """Return how far members and non-members overlap.

    Parameters
    ----------
    targets
        For each target, who was trained on, and the stratum of each person. Of several targets, people count
        once for each; where fewer than ten people of a side are alike, nobody is compared.
    """
    found, people = np.zeros(4), np.zeros(2, dtype=int)
    for member, strata in targets:
        sides = member, ~member
        people += [side.sum() for side in sides]
        kept, weights = comparable(member, strata), weights_in_auc(member, strata)
        alike = [int((side & kept).sum()) for side in sides]
        if min(alike) >= FEWEST_PER_SIDE:
            found += [*alike, *(1 / float((weights[side] ** 2).sum()) for side in sides)]
    shares = found / np.maximum(np.tile(people, 2), 1)
    return Overlap(
        *(_coarse(s, n) for s, n in zip(shares.tolist(), np.tile(people, 2).tolist(), strict=True))
    )


def _coarse(share: float, people: int) -> float:
    # A step is at least two fifths of what it is derived from, and so at least what one person changes.
    return rounded(share, step_below(max(STEP, 2.5 / max(people, 1))))
