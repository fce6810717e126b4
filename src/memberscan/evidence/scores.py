"""Scores of people by one attack, row by row, with each person's side: the input of all evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from memberscan.errors import MisalignedError, NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Int, Int8

IN, OUT, ASIDE = 1, 0, -1
"""Side of a person in a row: a member of the row's target, a non-member, or not compared."""
MANY_DIRECTIONS = 30
"""If a fit chooses among more directions than these, its number of directions makes no difference."""
MODEL = "model"
"""Target of the rows of an audit that asks about one model."""


@dataclass(frozen=True)
class Draw:
    """One draw of the people whose membership the attacker knows; all others are compared."""

    number: int

    @property
    def target(self) -> str:
        """Whose training set the row asks about."""
        return MODEL


@dataclass(frozen=True)
class Pair:
    """One party of a federation that attacks another: the victim's people and the held-out people."""

    attacker: str
    victim: str

    def __post_init__(self) -> None:
        if self.attacker == self.victim:
            raise MisalignedError(f"{self.victim} attacks itself; leave out the pair of a party with itself")

    @property
    def target(self) -> str:
        """Whose training set the row asks about."""
        return self.victim


Row = Draw | Pair


@dataclass(frozen=True, eq=False)
class Scores:
    """One attack's scores of people.

    Parameters
    ----------
    attack
        Its name.
    fitted
        Whether it learned from people whose membership it knows. An attack that did not has one draw only.
    rows
        What each row is: a draw, or a pair of parties; all of one kind. A pair is listed even if it was not
        attempted.
    values
        Higher means more likely a member. NaN where the attack has no score of a person, such as a person it
        was fitted on. A pair of NaN only was not attempted. A person who is not compared may have a value: in
        a pair these are the people of third parties.
    sides
        ``IN``, ``OUT`` or ``ASIDE`` for each person in each row.
    thresholds
        The value above which the attack says "member", chosen without the sides of the compared people.
    directions
        Among how many directions of equal weight each fit chose; infinity if that is not known.

    Raises
    ------
    MisalignedError
        If shapes do not fit together, rows repeat or are of two kinds, or sides are other numbers.
    NonFiniteError
        If a value is infinite, a person who is compared has none, or a threshold is missing.
    """

    attack: str
    fitted: bool
    rows: tuple[Row, ...]
    values: Float[np.ndarray, "rows people"]
    sides: Int8[np.ndarray, "rows people"]
    thresholds: Float[np.ndarray, " rows"]
    directions: float = np.inf

    def __post_init__(self) -> None:
        self._check_shapes()
        if len(set(self.rows)) != len(self.rows) or len({type(row) for row in self.rows}) > 1:
            raise MisalignedError(
                f"attack {self.attack}: rows repeat, or are of two kinds; give draws only or pairs only, "
                "each once"
            )
        if not self.pairs and not self.fitted and len(self.rows) != 1:
            raise MisalignedError(
                f"attack {self.attack} is not fitted, yet has {len(self.rows)} draws; score everyone once"
            )
        missing = (self.sides != ASIDE) & np.isnan(self.values)
        # Only a pair may be listed without scores: the report gives the reason why it was not attempted.
        asked = self.attempted if self.pairs else np.ones(len(self.rows), dtype=bool)
        if np.isinf(self.values).any() or missing[asked].any() or np.isnan(self.thresholds[asked]).any():
            raise NonFiniteError(
                f"attack {self.attack} gives scores or thresholds that are not finite; check for NaN or "
                "infinite signals"
            )

    def _check_shapes(self) -> None:
        fits = self.values.ndim == 2 and len(self.rows) == len(self.values) == len(self.thresholds)
        if not (fits and self.sides.shape == self.values.shape and self.thresholds.ndim == 1):
            raise MisalignedError(
                f"attack {self.attack}: {len(self.rows)} rows, values of shape {self.values.shape}, sides of "
                f"shape {self.sides.shape} and thresholds of shape {self.thresholds.shape}; give values and "
                "sides as rows x people, and one threshold per row"
            )
        # ``numpy.isin`` takes longer than these on the few people of most audits, and scores are made often.
        if (
            not np.issubdtype(self.sides.dtype, np.signedinteger)
            or not ((self.sides == IN) | (self.sides == OUT) | (self.sides == ASIDE)).all()
        ):
            raise MisalignedError(
                f"attack {self.attack}: sides are {self.sides.dtype}; give {IN} for a member, {OUT} for a "
                f"non-member and {ASIDE} for a person who is not compared"
            )

    @classmethod
    def of_draws(
        cls,
        attack: str,
        *,
        fitted: bool,
        values: Float[np.ndarray, "draws people"],
        member: Bool[np.ndarray, " people"],
        thresholds: Float[np.ndarray, " draws"],
    ) -> Self:
        """Return the scores of one model's audit.

        Parameters
        ----------
        attack, fitted, thresholds
            See the class, for draws numbered from 0.
        values
            NaN for the people that a fitted attack knew in a draw: they are set aside.
        member
            Whether each person was trained on.
        """
        if values.ndim != 2 or member.shape != values.shape[1:] or member.dtype != np.bool_:
            raise MisalignedError(
                f"attack {attack}: values of shape {values.shape} for {member.dtype} membership of shape "
                f"{member.shape}; give values as draws x people, and one boolean per person"
            )
        sides = np.where(np.isnan(values) & fitted, ASIDE, np.where(member, IN, OUT)).astype(np.int8)
        return cls(attack, fitted, tuple(map(Draw, range(len(values)))), values, sides, thresholds)

    @property
    def pairs(self) -> bool:
        """Whether the rows are pairs of parties; without a row, no party could attack another."""
        return all(isinstance(row, Pair) for row in self.rows)

    @property
    def attempted(self) -> Bool[np.ndarray, " rows"]:
        """Which rows have scores."""
        return np.asarray(~np.isnan(self.values).all(axis=1))

    @property
    def compared(self) -> Bool[np.ndarray, "rows people"]:
        """Who is compared in each row: people on one of the two sides who have a score."""
        return np.asarray((self.sides != ASIDE) & ~np.isnan(self.values))

    @property
    def counts(self) -> Int[np.ndarray, "rows 2"]:
        """How many members, and non-members, each row compares."""
        scored = ~np.isnan(self.values)
        return np.stack([((self.sides == side) & scored).sum(axis=1) for side in (IN, OUT)], axis=1)

    @property
    def people_counted(self) -> tuple[float, float]:
        """As how many members, and non-members, a mean over rows varies if every row has the same rule.

        All of them where draws score everybody as often, and those of one draw where draws score the same
        people: Kish's number for the weights of people (Survey Sampling, 1965).
        """
        counted = []
        for side in (IN, OUT):
            compared = self.compared & (self.sides == side)
            weights = compared / compared.sum(axis=1, keepdims=True)
            counted.append(1 / float((weights.mean(axis=0) ** 2).sum()))
        return counted[0], counted[1]

    @property
    def seen(self) -> tuple[str, ...]:
        """The targets of which some row has scores."""
        rows = zip(self.rows, self.attempted, strict=True)
        return tuple(dict.fromkeys(row.target for row, attempted in rows if attempted))

    def split(self) -> list[tuple[Float[np.ndarray, " members"], Float[np.ndarray, " nonmembers"]]]:
        """Return for each row the values of the members, and of the non-members, that it compares."""
        return [
            (values[kept & (sides == IN)], values[kept & (sides == OUT)])
            for values, sides, kept in zip(self.values, self.sides, self.compared, strict=True)
        ]

    def of_people(self, people: Bool[np.ndarray, " people"] | Int[np.ndarray, " some"]) -> Self:
        """Return the scores of some people only."""
        return replace(self, values=self.values[:, people], sides=self.sides[:, people])

    def of_rows(self, rows: Bool[np.ndarray, " rows"] | Sequence[int]) -> Self:
        """Return some rows only, in their order."""
        kept = np.arange(len(self.rows))[rows]
        return replace(
            self,
            rows=tuple(self.rows[k] for k in kept),
            values=self.values[kept],
            sides=self.sides[kept],
            thresholds=self.thresholds[kept],
        )

    def about(self, target: str) -> Self | None:
        """Return the rows that ask about one target, or None if there is none."""
        kept = np.array([row.target == target for row in self.rows])
        return self.of_rows(kept) if kept.any() else None
