"""Whether the scores of several attacks can be compared: the same people, and the same ones set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import MisalignedError, TooFewSubjectsError
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair, Scores
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Int

FEWEST_IN_A_DRAW = 2
"""Fewest people per side that a draw must score: a variance needs two."""


@dataclass(frozen=True, eq=False)
class Groups:
    """People who are on the same side in every row, whatever the attack and the attacker.

    Parameters
    ----------
    inside
        For each target the positions of the people that it trained on, in the order of the parties.
    outside
        Positions of the people that no target trained on.
    """

    inside: dict[str, Int[np.ndarray, " members"]]
    outside: Int[np.ndarray, " nonmembers"]


def aligned(scores: Sequence[Scores]) -> tuple[Scores, ...]:
    """Check that attacks can be compared with each other, and return the rows that estimates use.

    These are all draws, and the pairs that were attempted and compare ten or more people per side.

    Parameters
    ----------
    scores
        Of the same people in the same order.

    Raises
    ------
    MisalignedError
        If there is no attack, or attacks differ in people, in kinds of rows, or in whom they compare.
    TooFewSubjectsError
        If there are fewer than ten members or non-members, a draw scores fewer than two per side, or an
        attack is left without a pair.
    """
    names = [attack.attack for attack in scores]
    if not scores or len(set(names)) != len(names):
        raise MisalignedError(f"give at least one attack, and names that differ, not: {', '.join(names)}")
    first = scores[0]
    for attack in scores:
        if attack.values.shape[1] != first.values.shape[1]:
            raise MisalignedError(
                f"attack {attack.attack} scores {attack.values.shape[1]} people, and {first.attack} "
                f"{first.values.shape[1]}; give scores of the same people"
            )
        if attack.pairs != first.pairs:
            raise MisalignedError(
                f"attacks {first.attack} and {attack.attack} differ in their rows; give draws only, or "
                "pairs only"
            )
    if first.pairs:
        return _large_pairs(scores)
    _check_draws(scores)
    return tuple(scores)


def _check_draws(scores: Sequence[Scores]) -> None:
    fitted = [attack for attack in scores if attack.fitted]
    for attack in fitted:
        if not np.array_equal(attack.sides, fitted[0].sides):
            raise MisalignedError(
                f"attacks {fitted[0].attack} and {attack.attack} differ in whom they knew in a draw; "
                "use the same draws for every attack of an audit"
            )
    rows = np.concatenate([attack.sides for attack in scores])
    inside, outside = (rows == IN).any(axis=0), (rows == OUT).any(axis=0)
    unfitted = [attack.sides[0] for attack in scores if not attack.fitted]
    # An attack that is not fitted compares everyone who is compared in some draw.
    if (inside & outside).any() or any(((sides == ASIDE) & (inside | outside)).any() for sides in unfitted):
        raise MisalignedError(
            "attacks differ in who was trained on; give every person the same side in every draw, or set it "
            "aside in those draws in which it is known"
        )
    # The scores do not say on which side people are who are set aside in every draw: they may be on either.
    unknown = int((~inside & ~outside).sum())
    if min(inside.sum(), outside.sum()) + unknown < FEWEST_PER_SIDE:
        raise TooFewSubjectsError(
            f"{inside.sum()} members and {outside.sum()} non-members; an audit needs at least "
            f"{FEWEST_PER_SIDE} of each"
        )
    if min(attack.counts.min() for attack in scores) < FEWEST_IN_A_DRAW:
        raise TooFewSubjectsError(
            f"a draw leaves fewer than {FEWEST_IN_A_DRAW} subjects per side to score; leak fewer subjects"
        )


def _large_pairs(scores: Sequence[Scores]) -> tuple[Scores, ...]:
    """Return the pairs that compare enough people; refuse pairs that could not be pooled."""
    victims = {row.target for row in scores[0].rows}
    for attack in scores:
        if {row.target for row in attack.rows} != victims:
            raise MisalignedError(
                f"attacks {scores[0].attack} and {attack.attack} have different victims; list the same ones"
            )
    _check_same_people([attack.of_rows(attack.attempted) for attack in scores if attack.attempted.any()])
    kept = []
    for attack in scores:
        large = attack.attempted & (attack.counts.min(axis=1) >= FEWEST_PER_SIDE)
        if not large.any():
            raise TooFewSubjectsError(
                f"attack {attack.attack} has no pair with at least {FEWEST_PER_SIDE} subjects of the victim "
                f"and {FEWEST_PER_SIDE} held-out ones scored; hold out more subjects, or audit larger "
                "learners"
            )
        kept.append(attack.of_rows(large))
    return tuple(kept)


def _check_same_people(scores: Sequence[Scores]) -> None:
    """Refuse pairs with one victim that compare different people of it, or different held-out people."""
    if not scores:
        return
    sides = np.concatenate([attack.sides for attack in scores])
    targets = np.array([row.target for attack in scores for row in attack.rows])
    outside = sides == OUT
    differ = outside.any(axis=0) & ~outside.all(axis=0)
    homes = outside.any(axis=0).astype(int)
    for target in np.unique(targets):
        inside = sides[targets == target] == IN
        differ |= inside.any(axis=0) & ~inside.all(axis=0)
        homes += inside.any(axis=0)
    if differ.any():
        raise MisalignedError(
            f"{differ.sum()} subjects are scored in some pairs that compare them and not in others; let "
            "every attacker know the same held-out subjects, and score all of a victim's"
        )
    if (homes > 1).any():
        raise MisalignedError(
            f"{(homes > 1).sum()} subjects are members of two victims, or of one and held out; give each "
            "person one party"
        )


def groups_of(scores: Sequence[Scores]) -> Groups:
    """Return the people of each side, which must be the same in every row about the same target.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`aligned`; or if draws set different people aside.
    """
    kept = aligned(scores)
    every = [
        (row.target, sides) for attack in kept for row, sides in zip(attack.rows, attack.sides, strict=True)
    ]
    if not kept[0].pairs and any((sides != every[0][1]).any() for _, sides in every):
        raise MisalignedError(
            "draws compare different people, so they have no groups in common; use errors of a single draw "
            "(memberscan.evidence.delong.DeLong)"
        )
    of = dict(every)
    inside = {name: np.flatnonzero(of[name] == IN) for name in _targets_in_order(scores) if name in of}
    return Groups(inside, np.flatnonzero(every[0][1] == OUT))


def _targets_in_order(scores: Sequence[Scores]) -> list[str]:
    """Return the targets in the order of the parties: first as they appear as attackers, then as victims.

    Among the victims of the first attacker alone, that attacker itself would be missing.
    """
    rows = [row for attack in scores for row in attack.rows]
    attackers = [row.attacker for row in rows if isinstance(row, Pair)]
    targets = {row.target: None for row in rows}
    return [name for name in dict.fromkeys([*attackers, *targets]) if name in targets]
