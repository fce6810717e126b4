"""Which people an attacker knows, and which it is scored on: only here ``leaked`` is turned into people.

A comparison is one row of an audit: an attacker that knows some people's membership is scored on others. The
rows of an outsider's audit are draws of known people; those of a party's audit are pairs of parties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.scores import ASIDE, IN, OUT, Draw, Row

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.threat import ThreatModel


@dataclass(frozen=True, eq=False)
class Known:
    """The people whose membership an attacker knows.

    Parameters
    ----------
    members, nonmembers
        Known members, and known non-members.
    """

    members: Bool[np.ndarray, " people"]
    nonmembers: Bool[np.ndarray, " people"]

    @classmethod
    def nobody(cls, people: int) -> Known:
        """Return no known people."""
        return cls(np.zeros(people, dtype=bool), np.zeros(people, dtype=bool))

    @cached_property
    def everyone(self) -> Bool[np.ndarray, " people"]:
        """All known people."""
        return np.asarray(self.members | self.nonmembers)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One row of an audit: who attacks, which people it knows, and which are compared.

    Parameters
    ----------
    row
        The name of the row.
    known
        The people whose membership the attacker knows; none of them is compared.
    sides
        For each person ``IN``, ``OUT``, or ``ASIDE`` for those not compared.
    """

    row: Row
    known: Known
    sides: Int[np.ndarray, " people"]


def draws(
    member: Bool[np.ndarray, " people"], threat: ThreatModel, rng: np.random.Generator
) -> list[Comparison]:
    """Draw the people an outsider knows, equally many per side; each repeat compares everybody in some draw.

    In each repeat the people of a side are put in random order. Each draw compares one stretch of that order
    and knows people from the rest, with as few draws as cover everybody: two complementary halves if half of
    the people are known (cross-fitting), ten tenths if nine tenths are known.
    """
    sides = [np.flatnonzero(member), np.flatnonzero(~member)]
    count = known_per_side(threat, *map(len, sides))
    fewest = min(map(len, sides))
    # The larger side needs no more draws, since more of its people are compared in each.
    folds = math.ceil(fewest / (fewest - count)) if count else 1
    # Compared people begin at a fold's place and wrap around at the end; the `count` before them are known.
    begins = [[fold * len(side) // folds for side in sides] for fold in range(folds)]
    stretches = [
        [np.arange(b - count, b) % len(s) for b, s in zip(each, sides, strict=True)] for each in begins
    ]
    sides_of_all, rows = sides_of(member), list[Comparison]()
    for _ in range(threat.repeats):
        orders = [rng.permutation(side) for side in sides]
        for stretch in stretches:
            known, compared = Known.nobody(len(member)), sides_of_all.copy()
            for kept, order, places in zip((known.members, known.nonmembers), orders, stretch, strict=True):
                kept[order[places]] = True
                compared[order[places]] = ASIDE
            rows.append(Comparison(Draw(len(rows)), known, compared))
    return rows


def everybody(member: Bool[np.ndarray, " people"]) -> list[Comparison]:
    """Return the one row of an outsider that knows no one: everybody is compared."""
    return [Comparison(Draw(0), Known.nobody(len(member)), sides_of(member))]


def sides_of(
    member: Bool[np.ndarray, " people"], aside: Bool[np.ndarray, " people"] | None = None
) -> Int[np.ndarray, " people"]:
    """Return everybody's side; people who are known (``aside``) are not compared."""
    sides = np.where(member, IN, OUT).astype(np.int8)
    if aside is not None:
        sides[aside] = ASIDE
    return sides


def known_per_side(threat: ThreatModel, members: int, nonmembers: int) -> int:
    """Return how many subjects per side an outsider knows: floor(leaked x min(members, nonmembers))."""
    return _share(threat.leaked, min(members, nonmembers))


def known_held_out(
    threat: ThreatModel, outside: Int[np.ndarray, " nonmembers"], people: int, rng: np.random.Generator
) -> Bool[np.ndarray, " people"]:
    """Draw the held-out people that the parties of a federation know: the same ones for every party."""
    known = np.zeros(people, dtype=bool)
    known[rng.choice(outside, _share(threat.leaked, len(outside)), replace=False)] = True
    return known


def _share(leaked: float, people: int) -> int:
    # Decimal shares such as .3 may be stored as slightly smaller numbers.
    return int(leaked * people + 1e-9)


def threshold_by_share(values: Float[np.ndarray, " people"], sides: Int[np.ndarray, " people"]) -> float:
    """Return the threshold of an attacker that knows only the share of members among those compared."""
    compared = (sides != ASIDE) & ~np.isnan(values)
    if not compared.any():
        return 0.0
    return float(np.quantile(values[compared], 1 - np.mean(sides[compared] == IN)))


def knows_somebody(rows: Sequence[Comparison]) -> bool:
    """Tell whether some row has known people on both sides, so that an attack can learn from them."""
    return any(row.known.members.any() and row.known.nonmembers.any() for row in rows)
