"""What evidence is built from: one attack's scores of subjects, over draws of the subjects it knew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import MisalignedError, NonFiniteError, TooFewSubjectsError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FEWEST = 10
"""Fewest members, and non-members, that an audit says anything about."""


@dataclass(frozen=True)
class Scored:
    """One attack's scores of subjects, one row a draw of the known subjects.

    Parameters
    ----------
    attack
        Its name.
    fitted
        Whether it learnt from known subjects. One that did not has a single draw, with a score for everyone.
    scores
        Higher for a likelier member; NaN where the subject was known in that draw, so that nobody is scored
        by an attack that was fitted on them.
    thresholds
        For each draw the value above which the attack says "member", fixed without the labels of the scored.
    """

    attack: str
    fitted: bool
    scores: Float[np.ndarray, "draws subjects"]
    thresholds: Float[np.ndarray, " draws"]

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.thresholds.shape != self.scores.shape[:1]:
            raise MisalignedError(
                f"attack {self.attack}: scores of shape {self.scores.shape} and thresholds of shape "
                f"{self.thresholds.shape}; give scores as draws x subjects and one threshold a draw"
            )
        if np.isinf(self.scores).any() or (not self.fitted and np.isnan(self.scores).any()):
            raise NonFiniteError(
                f"attack {self.attack} gives scores that are not finite; look for NaN or infinite signals"
            )
        if not self.fitted and len(self.scores) != 1:
            raise MisalignedError(
                f"attack {self.attack} is not fitted, yet has {len(self.scores)} draws; score everyone once"
            )

    @property
    def scored(self) -> Bool[np.ndarray, "draws subjects"]:
        """Which subjects were scored in each draw."""
        return np.asarray(~np.isnan(self.scores))


def check_aligned(attacks: Sequence[Scored], member: Bool[np.ndarray, " subjects"]) -> None:
    """Refuse attacks that do not describe the same subjects, or were fitted on different draws of them.

    Raises
    ------
    MisalignedError
        If lengths, the numbers of draws, or the subjects known in a draw differ.
    TooFewSubjectsError
        If there are fewer than ten members or non-members, or a draw leaves fewer than two a side to score.
    """
    if member.dtype != np.bool_ or not attacks:
        raise MisalignedError("give at least one attack, and membership as booleans")
    fitted = [a for a in attacks if a.fitted]
    for attack in attacks:
        if attack.scores.shape[1] != len(member):
            raise MisalignedError(
                f"attack {attack.attack} scores {attack.scores.shape[1]} subjects of {len(member)}"
            )
    for attack in fitted:
        if not np.array_equal(attack.scored, fitted[0].scored):
            raise MisalignedError(
                f"attacks {fitted[0].attack} and {attack.attack} differ in whom they knew in a draw; "
                "use the same draws for every attack of an audit"
            )
    sides = (int(member.sum()), int((~member).sum()))
    if min(sides) < FEWEST:
        raise TooFewSubjectsError(
            f"{sides[0]} members and {sides[1]} non-members; an audit needs at least {FEWEST} of each"
        )
    for row in fitted[0].scored if fitted else ():
        if min((row & member).sum(), (row & ~member).sum()) < 2:
            raise TooFewSubjectsError(
                "a draw leaves fewer than 2 subjects a side to score; leak fewer subjects"
            )
