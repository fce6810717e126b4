"""Whom an attacker knows, and whom it is asked about: the one place where ``leaked`` becomes people.

A comparison is one row of an audit: an attacker who knows some people's membership is asked about others. The
rows of an outsider's audit are draws of whom it knows; those of a party's audit are pairs of parties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.scores import ASIDE, IN, OUT, Draw, Row

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.threat import ThreatModel


@dataclass(frozen=True, eq=False)
class Known:
    """Whose membership an attacker knows.

    Parameters
    ----------
    members, nonmembers
        Who is known to have been trained on, and not to have been.
    """

    members: Bool[np.ndarray, " people"]
    nonmembers: Bool[np.ndarray, " people"]

    @classmethod
    def nobody(cls, people: int) -> Known:
        """Return the knowledge of nobody's membership."""
        return cls(np.zeros(people, dtype=bool), np.zeros(people, dtype=bool))

    @property
    def everyone(self) -> Bool[np.ndarray, " people"]:
        """All whose membership is known."""
        return np.asarray(self.members | self.nonmembers)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One row of an audit: who attacks, whom it knows, and who is compared.

    Parameters
    ----------
    row
        What the row is called.
    known
        Whose membership the attacker knows; none of them is compared.
    sides
        For each person ``IN``, ``OUT``, or ``ASIDE`` for those not compared.
    """

    row: Row
    known: Known
    sides: Int[np.ndarray, " people"]


def draws(
    member: Bool[np.ndarray, " people"], threat: ThreatModel, rng: np.random.Generator
) -> list[Comparison]:
    """Draw whom an outsider knows, as many on each side; in every repeat everybody is compared in some draw.

    In each repeat the people of a side are put in random order. Its draws compare successive stretches of
    that order and know the rest, in as few draws as reach everybody: two complementary halves where half of
    the people are known (cross-fitting), ten tenths where nine tenths are known.
    """
    sides = [np.flatnonzero(member), np.flatnonzero(~member)]
    count = known_per_side(threat, *map(len, sides))
    fewest = min(map(len, sides))
    # The larger side is reached in no more draws, since more of its people are compared in each.
    folds = math.ceil(fewest / (fewest - count)) if count else 1
    rows: list[Comparison] = []
    for _ in range(threat.repeats):
        orders = [rng.permutation(side) for side in sides]
        for fold in range(folds):
            known = Known.nobody(len(member))
            for kept, order in zip((known.members, known.nonmembers), orders, strict=True):
                # Those compared begin here and go on around the end; the count before them are known.
                begin = fold * len(order) // folds
                kept[order[np.arange(begin - count, begin) % len(order)]] = True
            rows.append(Comparison(Draw(len(rows)), known, sides_of(member, known.everyone)))
    return rows


def everybody(member: Bool[np.ndarray, " people"]) -> list[Comparison]:
    """Return the one row of an outsider who knows nobody: everybody is compared."""
    return [Comparison(Draw(0), Known.nobody(len(member)), sides_of(member))]


def sides_of(
    member: Bool[np.ndarray, " people"], aside: Bool[np.ndarray, " people"] | None = None
) -> Int[np.ndarray, " people"]:
    """Return everybody's side; nobody is compared whose membership is known."""
    sides = np.where(member, IN, OUT).astype(np.int8)
    if aside is not None:
        sides[aside] = ASIDE
    return sides


def known_per_side(threat: ThreatModel, members: int, nonmembers: int) -> int:
    """Return how many subjects a side an outsider knows: floor(leaked x min(members, nonmembers))."""
    return _share(threat.leaked, min(members, nonmembers))


def known_held_out(
    threat: ThreatModel, outside: Int[np.ndarray, " nonmembers"], people: int, rng: np.random.Generator
) -> Bool[np.ndarray, " people"]:
    """Draw the held-out people whom the parties of a federation know: the same ones for every party."""
    known = np.zeros(people, dtype=bool)
    known[rng.choice(outside, _share(threat.leaked, len(outside)), replace=False)] = True
    return known


def _share(leaked: float, people: int) -> int:
    # The shares that people write, such as .3, are a little less than what they mean.
    return int(leaked * people + 1e-9)


def threshold_by_share(values: Float[np.ndarray, " people"], sides: Int[np.ndarray, " people"]) -> float:
    """Return the threshold of an attacker that knows only which share of those compared was trained on."""
    compared = (sides != ASIDE) & ~np.isnan(values)
    if not compared.any():
        return 0.0
    return float(np.quantile(values[compared], 1 - np.mean(sides[compared] == IN)))


def knows_somebody(rows: Sequence[Comparison]) -> bool:
    """Tell whether some row has known people on both sides, so that an attack can learn from them."""
    return any(row.known.members.any() and row.known.nonmembers.any() for row in rows)
