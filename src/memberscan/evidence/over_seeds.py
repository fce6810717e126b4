"""Means over seeds: one recipe trained several times on other draws of the same people, and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from memberscan.evidence.intervals import LEVEL, Interval, auc_bounds, half_width_of_mean
from memberscan.evidence.roc import influences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float

_NORMAL = float(stats.norm.ppf((1 + LEVEL) / 2))


@dataclass(frozen=True, eq=False)
class OverSeeds:
    """An estimate for each seed, and what each person adds to its deviation from the true one.

    Parameters
    ----------
    values
        The estimates.
    influence
        Contributions of people, whose squares sum to the variance of an estimate given its trained model; 0
        for a person who does not count in a seed.
    counts
        Members and non-members over all seeds, for an AUC; empty for a mean.
    """

    values: Float[np.ndarray, " seeds"]
    influence: Float[np.ndarray, "seeds people"]
    counts: tuple[()] | tuple[int, int] = ()

    def __sub__(self, other: OverSeeds) -> OverSeeds:
        """Return the paired difference: on the same people, seed by seed."""
        return OverSeeds(self.values - other.values, self.influence - other.influence)

    def half_width(self, level: float = LEVEL) -> float:
        """Return half the width of the interval of the mean.

        Two errors add up. A person's contributions are averaged over seeds before they are squared, because a
        person whom one model fits is often fitted by the next one too. With one seed there is no second part.
        Tests simulate the coverage.
        """
        of_people = float((self.influence.mean(axis=0) ** 2).sum())
        return half_width_of_mean(self.values, (self.influence**2).sum(axis=1), of_people, level)

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the mean over seeds with its interval; an AUC's lies within 0 and 1."""
        value, half = float(self.values.mean()), self.half_width(level)
        if not self.counts:
            return Interval(value, value - half, value + half)
        low, high = auc_bounds(value, half / _NORMAL, *self.counts, _NORMAL)
        return Interval(value, low, high)


def mean_over_seeds(
    values: Float[np.ndarray, "seeds people"], counted: Bool[np.ndarray, "seeds people"]
) -> OverSeeds:
    """Return the mean of a value over the people who count in each seed."""
    means, rows = [], []
    for row, part in zip(values, counted, strict=True):
        size = int(part.sum())
        mean = float(row[part].mean())
        # The variance of a mean divides by n - 1.
        rows.append(np.where(part, row - mean, 0.0) / np.sqrt(size * (size - 1)))
        means.append(mean)
    return OverSeeds(np.array(means), np.stack(rows))


def auc_over_seeds(
    scores: Sequence[Float[np.ndarray, " people"]],
    member: Bool[np.ndarray, "seeds people"],
    counted: Bool[np.ndarray, "seeds people"],
) -> OverSeeds:
    """Return the AUC of an attack in each seed, with DeLong's contributions of people.

    Parameters
    ----------
    scores
        Of each seed's attack; higher means more likely a member.
    member, counted
        Who was trained on in each seed, and who is compared.
    """
    values, rows = [], []
    for row, inside, part in zip(scores, member, counted, strict=True):
        auc, of_people, _ = influences(np.asarray(row)[None, part], inside[part])
        spread = np.zeros(len(inside))
        spread[part] = of_people[0]
        values.append(float(auc[0]))
        rows.append(spread)
    counts = int((member & counted).sum()), int((~member & counted).sum())
    return OverSeeds(np.array(values), np.stack(rows), counts)
