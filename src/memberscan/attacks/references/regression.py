"""LiRA whose two laws are regressions on what the references predict, learnt over all people. It is ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from memberscan.attacks.references.empirical_bayes import empirical_bayes
from memberscan.attacks.references.moments import TINY
from memberscan.attacks.references.trials import Trials, standardised, thinned
from memberscan.attacks.references.tuning import SCANS, can_play_target
from memberscan.attacks.with_references import Compared, ReferenceAttack

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Predictors = Callable[[Trials], tuple[np.ndarray, np.ndarray, np.ndarray]]
RIDGE = 3.0
"""Penalty of the regressions' coefficients: what that many observations of unit size would weigh."""
LEAST_SQUARE = 1e-4
"""Added to squared deviations before their logarithm, as a share of the mean one."""
FREEDOM = 5.0
"""Degrees of freedom of the Student t: tails of residuals are heavier than a Gaussian's."""


@dataclass(frozen=True, eq=False)
class Law:
    """How residuals of one side are distributed, given the references' residuals of the same person.

    Parameters
    ----------
    mean
        Coefficients of the expected residual on the terms of the predictors.
    log_variance
        Coefficients of the log variance.
    """

    mean: Float[np.ndarray, " terms"]
    log_variance: Float[np.ndarray, " spread_terms"]

    @classmethod
    def fit(cls, weight: np.ndarray, residual: np.ndarray, on: np.ndarray, spread_on: np.ndarray) -> Law:
        """Fit the mean by least squares, then the log of squared deviations from it, both weighted."""
        mean = _least_squares(on, residual, weight)
        squares = (residual - on @ mean) ** 2
        floor = LEAST_SQUARE * np.average(squares, weights=weight) + TINY
        log_variance = _least_squares(spread_on, np.log(squares + floor), weight)
        # The mean of a logarithm is below the logarithm of the mean; one factor for all corrects it.
        relative = squares / np.exp(spread_on @ log_variance)
        log_variance[0] += np.log(np.average(relative, weights=weight) + floor)
        return cls(mean, log_variance)

    def log_density(self, residual: np.ndarray, on: np.ndarray, spread_on: np.ndarray) -> np.ndarray:
        """Return the log density, up to a constant that both laws share."""
        log_variance = spread_on @ self.log_variance
        deviation = (residual - on @ self.mean) ** 2 / np.exp(log_variance)
        return np.asarray(-log_variance / 2 - (FREEDOM + 1) / 2 * np.log1p(deviation / FREEDOM))


@dataclass(frozen=True, eq=False)
class Laws:
    """The laws of members and of others.

    Parameters
    ----------
    members, others
        Both laws.
    predictors
        Gives the values that are distributed so, and what their mean and log variance are regressed on.
    """

    members: Law
    others: Law
    predictors: Predictors

    @classmethod
    def fit(
        cls,
        trials: Trials,
        rows: Bool[np.ndarray, " models"] | None = None,
        predictors: Predictors | None = None,
    ) -> Laws:
        """Fit both to references that play the target, or to some of them."""
        chosen = np.ones(len(trials.residual), dtype=bool) if rows is None else rows
        inside, predictors = trials.inside[chosen], predictors or of_residuals
        values = [part[chosen] for part in predictors(trials)]
        members, others = (
            Law.fit(np.ones(np.count_nonzero(side)), *(part[side] for part in values))
            for side in (inside, ~inside)
        )
        return cls(members, others, predictors)

    @classmethod
    def fit_to_odds(
        cls, trials: Trials, log_odds: Float[np.ndarray, " scans"], predictors: Predictors
    ) -> Laws:
        """Fit both to the one model of some trials, of whose members only the odds are known."""
        values = [part[0] for part in predictors(trials)]
        members, others = (Law.fit(expit(sign * log_odds), *values) for sign in (1, -1))
        return cls(members, others, predictors)

    def log_ratio(self, trials: Trials) -> Float[np.ndarray, "models scans"]:
        """Return the log-likelihood ratio of each scan's residual."""
        values = self.predictors(trials)
        return np.asarray(self.members.log_density(*values) - self.others.log_density(*values))


def of_residuals(trials: Trials) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return residuals, and what their mean and log variance are regressed on.

    Both means over references are needed even for one law: twins are trained on complementary people, so
    that much of what chance adds to one is taken from the other, and their mean is less noisy than either.
    """
    same = trials.detrended
    ins, outs = same.moments.ins.mean, same.moments.outs.mean
    y = standardised(trials.label)
    one = np.ones_like(outs)
    on = [one, outs, ins, outs**2, ins**2, outs * ins, outs * np.abs(outs), ins * np.abs(ins)]
    on += [y * outs, y * ins, *(one * term for term in (y, y**2, y * np.abs(y)))]
    spread_on = [one, np.abs(outs), np.abs(ins), np.abs(ins - outs), one * y, one * y**2]
    return same.residual, np.stack(on, axis=-1), np.stack(spread_on, axis=-1)


def _least_squares(on: np.ndarray, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    penalty = RIDGE * np.eye(on.shape[1])
    # The first term is the constant.
    penalty[0, 0] = TINY
    weighted = on.T * weight
    return np.asarray(np.linalg.solve(weighted @ on + penalty, weighted @ values))


def regression(compared: Compared) -> Float[np.ndarray, " scans"]:
    """Return the log-likelihood ratio; with two references, from which no law can be learnt, EB-LiRA's."""
    target = Trials.of_target(compared)
    if not can_play_target(compared):
        return np.asarray(empirical_bayes(target)[0])
    laws = Laws.fit(Trials.of_references(thinned(compared, SCANS)))
    return np.asarray(laws.log_ratio(target)[0])


REGRESSION = ReferenceAttack(
    "lira:regression",
    "how likely the error is with and without this person, by regressions over all people",
    statistic=regression,
    log_likelihood_ratio=True,
)
