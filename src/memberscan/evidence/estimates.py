"""AUCs of all attacks of an audit, with their joint errors, for draws and for pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import ndtri

from memberscan.evidence.alignment import aligned
from memberscan.evidence.intervals import (
    LEVEL,
    Interval,
    auc_bounds,
    auc_interval,
    greatest_normal,
    simultaneous_critical,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Bool, Float, Int

    from memberscan.evidence.scores import Scores

SIMULTANEOUS_LEVEL = 0.99
"""Level of the one-sided lower bounds that hold for all attacks together; the verdict uses these."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """The AUCs of the attacks of one audit.

    Parameters
    ----------
    attacks
        Their names, K of them; the arrays follow this order.
    auc
        Mean over rows.
    standard_error
        Over people given these trained models, on the AUC scale; not over training again.
    correlation
        Of the errors.
    members, nonmembers
        Distinct people compared, over all draws or pairs.
    design_effect
        Variance of the AUC of an attack that finds nothing, over that of scoring these people once (Kish,
        Survey Sampling, 1965): above 1 if the same people are fitted on in some draws and scored in others.
    error_by_chance
        The standard error as far as it follows from the draws for an attack that finds nothing. Simultaneous
        bounds use it, since they decide whether an attack finds anything. ``None``: the standard error.
    limits
        The ends of the 95% intervals of single attacks. ``None``: they follow from the standard error.
    decisions
        How much more the mean accuracy over rows varies than if every fit gave the same rule, as a factor of
        its variance, if the AUC lay at either end of ``limits``. ``None``: no more.
    """

    attacks: tuple[str, ...]
    auc: Float[np.ndarray, " attacks"]
    standard_error: Float[np.ndarray, " attacks"]
    correlation: Float[np.ndarray, "attacks attacks"]
    members: Int[np.ndarray, " attacks"]
    nonmembers: Int[np.ndarray, " attacks"]
    design_effect: Float[np.ndarray, " attacks"]
    error_by_chance: Float[np.ndarray, " attacks"] | None = None
    limits: Float[np.ndarray, "attacks 2"] | None = None
    decisions: Float[np.ndarray, "attacks 2"] | None = None

    @cached_property
    def greatest(self) -> Float[np.ndarray, " samples"]:
        """Sorted draws of the greatest of the attacks' errors, in standard errors."""
        return greatest_normal(self.correlation)

    @cached_property
    def critical(self) -> float:
        """How many standard errors below its estimate each simultaneous lower bound lies."""
        return self._critical_at(SIMULTANEOUS_LEVEL)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The 95% interval of each attack's AUC, alone."""
        if self.limits is None:
            return tuple(auc_interval(*each) for each in self._each())
        pairs = zip(self.auc.tolist(), self.limits.tolist(), strict=True)
        return tuple(Interval(auc, low, high) for auc, (low, high) in pairs)

    @cached_property
    def simultaneous_low(self) -> Float[np.ndarray, " attacks"]:
        """One-sided 99% lower bounds that hold for all attacks together."""
        return np.array([auc_bounds(*each, self.critical)[0] for each in self._each(by_chance=True)])

    @cached_property
    def below_chance(self) -> Bool[np.ndarray, " attacks"]:
        """Whether the two-sided simultaneous 99% interval lies wholly below .5."""
        # Two-sided at 99% is one-sided at 99.5% on each side.
        critical = self._critical_at((1 + SIMULTANEOUS_LEVEL) / 2)
        return np.array([auc_bounds(*each, critical)[1] < 0.5 for each in self._each(by_chance=True)])

    def decisions_of(self, attack: int) -> tuple[float, float]:
        """Return the factors ``decisions`` of one attack, 1 and 1 without any."""
        if self.decisions is None:
            return 1.0, 1.0
        low, high = self.decisions[attack].tolist()
        return low, high

    @property
    def strongest(self) -> int:
        """Index of the attack with the greatest simultaneous lower bound; the greater AUC breaks ties."""
        return int(np.lexsort((self.auc, self.simultaneous_low))[-1])

    @property
    def fewest(self) -> int:
        """Fewest people on one side that any attack compared."""
        return int(min(self.members.min(), self.nonmembers.min()))

    def _critical_at(self, level: float) -> float:
        attacks = len(self.attacks)
        return simultaneous_critical(self.greatest if attacks > 1 else None, attacks, level)

    def _each(self, *, by_chance: bool = False) -> list[tuple[float, float, int, int]]:
        errors = (
            self.error_by_chance if by_chance and self.error_by_chance is not None else self.standard_error
        )
        columns = (self.auc, errors, self.members, self.nonmembers)
        return list(zip(*(column.tolist() for column in columns), strict=True))


@dataclass(frozen=True)
class Difference:
    """How much more one attack shows than another: a difference of AUCs with its 95% interval."""

    attack: str
    over: str
    value: float
    low: float
    high: float


class Errors(Protocol):
    """Where the errors of estimates come from.

    :class:`memberscan.evidence.delong.DeLong` for draws, in which each person is scored once per row;
    :class:`memberscan.evidence.resampling.Resampling` for pairs, which share people. All methods take scores
    that :func:`memberscan.evidence.alignment.aligned` has passed.
    """

    def aucs(self, scores: Sequence[Scores]) -> Estimates:
        """Return the AUCs of all attacks."""

    def aucs_within(
        self, scores: Sequence[Scores], strata: Mapping[str, Int[np.ndarray, " people"]]
    ) -> Estimates | None:
        """Return the AUCs among people of one stratum, or None if too few people are alike.

        ``strata`` has the labels of each target; -1 for people who are in none.
        """

    def accuracies(self, scores: Sequence[Scores], estimates: Estimates) -> tuple[Interval, ...]:
        """Return the balanced accuracy of each attack at its own thresholds, with its 95% interval.

        ``estimates`` are those of :meth:`aucs` for the same scores.
        """

    def difference(self, attack: Scores, over: Scores) -> tuple[float, float]:
        """Return the difference of two attacks' AUCs on the same people, and its standard error."""


def estimate_aucs(scores: Sequence[Scores], errors: Errors) -> Estimates:
    """Estimate the AUCs of all attacks of an audit and their joint errors.

    Parameters
    ----------
    scores
        Of the same people; in draws, with the same people known to every fitted attack.
    errors
        Where errors come from: ``DeLong()`` for draws, ``Resampling.draw(scores, rng)`` for pairs.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.alignment.aligned`.
    """
    return errors.aucs(aligned(scores))


def estimate_accuracies(scores: Sequence[Scores], errors: Errors) -> tuple[Interval, ...]:
    """Return balanced accuracies at the attacks' own thresholds, with 95% intervals, in the order given.

    Parameters, errors raised: as of :func:`estimate_aucs`.
    """
    kept = aligned(scores)
    return errors.accuracies(kept, errors.aucs(kept))


def paired_difference(attack: Scores, over: Scores, errors: Errors) -> Difference:
    """Compare two attacks' AUCs on the same people in the same rows.

    The error is at least the weight of one pair of people, so that two perfect attacks do not get an interval
    of zero width. It is not a test chosen after looking at all pairs of attacks.

    Parameters, errors raised: as of :func:`estimate_aucs`.
    """
    value, error = errors.difference(*aligned([attack, over]))
    half = float(ndtri((1 + LEVEL) / 2)) * error
    return Difference(attack.attack, over.attack, value, max(-1.0, value - half), min(1.0, value + half))
