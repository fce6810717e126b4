"""All attacks' AUCs at once, over draws of the known subjects: estimates, and errors that go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from memberscan.errors import MisalignedError
from memberscan.evidence.intervals import (
    Interval,
    auc_bounds,
    auc_interval,
    greatest_normal,
    simultaneous_critical,
)
from memberscan.evidence.roc import comparable, delong
from memberscan.evidence.scored import FEWEST, Scored, check_aligned

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SIMULTANEOUS_LEVEL = 0.99
"""Level of the one-sided lower bounds that hold for all attacks together; the verdict uses these."""


@dataclass(frozen=True, eq=False)
class Joint:
    """The AUCs of the attacks of one audit.

    Errors are of a single draw: drawing the known subjects again does not add subjects.

    Parameters
    ----------
    attacks
        Their names, K of them; the arrays follow this order.
    auc, standard_error
        Mean over draws, and the root of the mean single-draw variance.
    correlation
        Of the errors, on subjects scored by all attacks.
    members, nonmembers
        Subjects scored in one draw.
    """

    attacks: tuple[str, ...]
    auc: Float[np.ndarray, " attacks"]
    standard_error: Float[np.ndarray, " attacks"]
    correlation: Float[np.ndarray, "attacks attacks"]
    members: Int[np.ndarray, " attacks"]
    nonmembers: Int[np.ndarray, " attacks"]

    @cached_property
    def greatest(self) -> Float[np.ndarray, " samples"]:
        """Sorted draws of the greatest of the attacks' errors, in standard errors."""
        return greatest_normal(self.correlation)

    @cached_property
    def critical(self) -> float:
        """How many standard errors below its estimate each simultaneous lower bound lies."""
        return simultaneous_critical(self.greatest, len(self.attacks), SIMULTANEOUS_LEVEL)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The 95% interval of each attack's AUC, alone."""
        return tuple(auc_interval(*row) for row in self._rows())

    @cached_property
    def simultaneous_low(self) -> Float[np.ndarray, " attacks"]:
        """One-sided 99% lower bounds that hold for all attacks together."""
        return np.array([auc_bounds(*row, self.critical)[0] for row in self._rows()])

    @cached_property
    def below_chance(self) -> Bool[np.ndarray, " attacks"]:
        """Whether the two-sided simultaneous 99% interval lies wholly below .5."""
        critical = simultaneous_critical(self.greatest, len(self.attacks), (1 + SIMULTANEOUS_LEVEL) / 2)
        return np.array([auc_bounds(*row, critical)[1] < 0.5 for row in self._rows()])

    @property
    def strongest(self) -> int:
        """Index of the attack with the greatest simultaneous lower bound; the greater AUC breaks ties."""
        return int(np.lexsort((self.auc, self.simultaneous_low))[-1])

    @property
    def fewest(self) -> int:
        """Fewest subjects on one side that any attack scored in one draw."""
        return int(min(self.members.min(), self.nonmembers.min()))

    def _rows(self) -> list[tuple[float, float, int, int]]:
        columns = (self.auc, self.standard_error, self.members, self.nonmembers)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def joint(
    attacks: Sequence[Scored],
    member: Bool[np.ndarray, " subjects"],
    strata: Int[np.ndarray, " subjects"] | None = None,
) -> Joint:
    """Estimate the AUCs of all attacks of an audit and their joint errors.

    An attack that is not fitted is scored once, on everyone. A fitted one gets the mean over draws with the
    mean single-draw DeLong variance, so that more draws never narrow its interval. Correlations come from the
    subjects that every attack scored in a draw, averaged over draws.

    Parameters
    ----------
    attacks
        Scores of the same subjects, with the same draws of known subjects in every fitted attack.
    member
        Who was trained on.
    strata
        If given, only pairs of subjects within a stratum are compared (see
        :func:`memberscan.evidence.roc.delong`).

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.scored.check_aligned`.
    """
    check_aligned(attacks, member)
    names = tuple(a.attack for a in attacks)
    if len(set(names)) != len(names):
        raise MisalignedError(f"attack names must differ, not {', '.join(names)}")
    fitted = np.array([a.fitted for a in attacks])
    auc, variance, counts = np.empty(len(names)), np.empty(len(names)), np.empty((2, len(names)), dtype=int)
    covariance = np.eye(len(names))
    if not fitted.all():
        rows = np.stack([a.scores[0] for a in attacks if not a.fitted])
        auc[~fitted], covariance, sides = _estimate(rows, member, strata)
        variance[~fitted], counts[:, ~fitted] = np.diag(covariance), sides[:, None]
    if fitted.any():
        draws = [_estimate(*shared) for shared in _shared_draws(attacks, member, strata)]
        covariance = np.mean([draw[1] for draw in draws], axis=0)
        auc[fitted] = np.mean([draw[0] for draw in draws], axis=0)[fitted]
        variance[fitted] = np.diag(covariance)[fitted]
        counts[:, fitted] = np.min([draw[2] for draw in draws], axis=0)[:, None]
    return Joint(names, auc, np.sqrt(variance), _correlation(covariance), counts[0], counts[1])


def _shared_draws(
    attacks: Sequence[Scored],
    member: Bool[np.ndarray, " subjects"],
    strata: Int[np.ndarray, " subjects"] | None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Yield for each draw all attacks' scores of the subjects scored in it, with membership and strata."""
    masks = next((a.scored for a in attacks if a.fitted), attacks[0].scored)
    for draw, mask in enumerate(masks):
        rows = np.stack([a.scores[draw if a.fitted else 0, mask] for a in attacks])
        yield rows, member[mask], None if strata is None else strata[mask]


def _estimate(
    scores: Float[np.ndarray, "attacks scored"],
    member: Bool[np.ndarray, " scored"],
    strata: Int[np.ndarray, " scored"] | None,
) -> tuple[Float[np.ndarray, " attacks"], Float[np.ndarray, "attacks attacks"], Int[np.ndarray, " 2"]]:
    """Return AUCs, their covariance, and how many members and non-members were compared."""
    auc, covariance = delong(scores, member, strata)
    used = member if strata is None else member[comparable(member, strata)]
    return auc, covariance, np.array([used.sum(), (~used).sum()])


def _correlation(covariance: Float[np.ndarray, "attacks attacks"]) -> Float[np.ndarray, "attacks attacks"]:
    """Return the correlation; an attack without variance counts as uncorrelated, which widens the bounds."""
    spread = np.sqrt(np.diag(covariance))
    scale = np.outer(spread, spread)
    correlation: np.ndarray = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def enough_comparable(
    attacks: Sequence[Scored], member: Bool[np.ndarray, " subjects"], strata: Int[np.ndarray, " subjects"]
) -> bool:
    """Return whether in every draw ten or more subjects a side share a stratum with the other side."""
    for mask in (row for attack in attacks for row in attack.scored):
        used = member[mask][comparable(member[mask], strata[mask])]
        if min(used.sum(), (~used).sum()) < FEWEST:
            return False
    return True


@dataclass(frozen=True)
class Difference:
    """How much more one attack shows than another: a difference of AUCs with its 95% interval."""

    attack: str
    over: str
    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, str | float]:
        """Return JSON values."""
        return {
            "attack": self.attack,
            "over": self.over,
            "value": self.value,
            "low": self.low,
            "high": self.high,
        }


def paired(attack: Scored, over: Scored, member: Bool[np.ndarray, " subjects"]) -> Difference:
    """Compare two attacks' AUCs on the same subjects in the same draws (DeLong et al., Biometrics 44, 1988).

    The error is that of a single draw. It is floored at what one pair of subjects weighs, so that two attacks
    which are both perfect do not get an interval of zero width. Not a test chosen after looking at all pairs
    of attacks.
    """
    check_aligned([attack, over], member)
    values, variances = [], []
    for scores, scored_member, _ in _shared_draws([attack, over], member, None):
        auc, covariance = delong(scores, scored_member)
        values.append(auc[0] - auc[1])
        floor = 0.25 / (scored_member.sum() * (~scored_member).sum())
        variances.append(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], floor))
    value, half = float(np.mean(values)), float(stats.norm.ppf(0.975) * np.sqrt(np.mean(variances)))
    return Difference(attack.attack, over.attack, value, max(-1.0, value - half), min(1.0, value + half))
