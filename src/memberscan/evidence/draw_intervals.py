"""The interval of a mean AUC over draws, by inverting tests: the stability of fits depends on the AUC."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from memberscan.evidence.cross_fitting import DrawDesign
from memberscan.evidence.few_directions import FewDirections
from memberscan.evidence.roc import hanley_mcneil_variance

if TYPE_CHECKING:
    from jaxtyping import Float

_STEPS = np.linspace(-1, 1, 401)
_LEAST = 1e-6
"""Smaller estimates of the stability are 0."""


@dataclass(frozen=True, eq=False)
class FittedAuc:
    """The mean AUC over draws of an attack that learned its scores anew in each draw.

    Parameters
    ----------
    auc
        The mean over draws.
    variance
        Of the mean, if every fit gave the same rule.
    stability
        Share of the truth in fits, as estimated from the draws.
    members, nonmembers
        People scored in some draw.
    law
        Of means over draws, for who was fitted on and scored in each.

    Notes
    -----
    An interval holds each AUC that a test with the variance at *that* AUC does not reject. With one variance
    for all, at the estimated stability, it errs: the estimate is high where chance lets an attack do well,
    and if nothing is to be found, fits are not stable, whatever the estimate.

    A rule with the truth m and a fitted error of squared length D reaches m^2 / sqrt(m^2 + D), at the
    stability m^2 / (m^2 + D). The estimates of the AUC and of the stability give D, which is at least the
    variance of one direction and at most that of all, and stays the same at any other AUC. Where the
    estimated stability is 0 and there are many directions, D is infinite, and no AUC has a stable fit.

    In few directions the mean is not normal, and both ends have the tails of :class:`FewDirections`.
    """

    auc: float
    variance: float
    stability: float
    members: int
    nonmembers: int
    law: FewDirections

    @property
    def design(self) -> DrawDesign:
        """Who was fitted on and scored in each draw."""
        return self.law.design

    def stability_at(self, auc: Float[np.ndarray, " aucs"] | float) -> Float[np.ndarray, " aucs"]:
        """Return the stability of fits if the true mean AUC were this: 0 at one half and below."""
        inside = np.clip(np.asarray(auc, dtype=float), 1e-9, 1 - 1e-9)
        reached = np.maximum(logit(inside) / self._error, 0.0)
        if np.isinf(self._fitted_error):
            return np.zeros_like(reached)
        # Solve t = m^2 / sqrt(m^2 + D) for m^2.
        squared = (reached**2 + reached * np.sqrt(reached**2 + 4 * self._fitted_error)) / 2
        total = squared + self._fitted_error
        return np.asarray(np.divide(squared, total, out=np.zeros_like(total), where=total > 0))

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The ends of the 95% interval, with the rules near 0 and 1 of ``intervals.auc_bounds``."""
        every = np.linspace(0, 1, 101)
        widest = self.law.tails(every).max() * np.sqrt(self.design.of_aucs(every, self._inner).max())
        # Distances from the estimate in standard errors of stable fits, a little beyond the widest interval.
        distance = 1.01 * widest * _STEPS
        aucs = expit(logit(self._inner) + distance * self._error)
        stability = self.stability_at(aucs)
        # If the AUC were below the estimate, the upper tail would have to reach the estimate.
        below, above = self.law.tails(stability)
        reached = np.where(distance < 0, above, below) ** 2
        margin = reached * self.design.of_aucs(stability, self._inner) - distance**2
        low, high = _first_above_zero(distance, margin), -_first_above_zero(-distance[::-1], margin[::-1])
        ends = expit(logit(self._inner) + np.array([low, high]) * self._error)
        return (
            0.0 if self.auc < self._edge else float(ends[0]),
            1.0 if self.auc > 1 - self._edge else float(ends[1]),
        )

    @property
    def _edge(self) -> float:
        return 0.5 / (min(self.members, self.nonmembers) + 1)

    @property
    def _inner(self) -> float:
        return min(max(self.auc, self._edge), 1 - self._edge)

    @cached_property
    def _error(self) -> float:
        """Standard error on the logit scale, if every fit gave the same rule."""
        inner = self._inner
        floor = float(hanley_mcneil_variance(inner, self.members, self.nonmembers))
        return float(np.sqrt(max(self.variance, floor)) / (inner * (1 - inner)))

    @cached_property
    def _fitted_error(self) -> float:
        """Squared length of a fit's error, in squared standard errors of stable fits."""
        most = self.law.longest_error
        if self.stability < _LEAST:
            return most
        reached = max(float(logit(self._inner)) / self._error, 0.0)
        found = reached**2 * (1 - self.stability) / self.stability**2
        return min(max(found, self.design.one_direction), most)


def _first_above_zero(places: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]) -> float:
    """Return where values, negative at first, reach 0 for the first time; linear between places."""
    k = int(np.flatnonzero(values >= 0)[0])
    before, after = values[k - 1], values[k]
    return float(places[k - 1] + (places[k] - places[k - 1]) * before / (before - after))
