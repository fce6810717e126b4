"""Intervals that hold at the edges too: AUCs, proportions, balanced accuracy, several attacks at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from memberscan.evidence.roc import hanley_mcneil_variance

if TYPE_CHECKING:
    from jaxtyping import Float

LEVEL = 0.95
"""Two-sided level of every interval that stands alone."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95% interval: over subjects given this trained model, not over retraining."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return JSON values."""
        return asdict(self)


def auc_bounds(
    auc: float, standard_error: float, members: int, nonmembers: int, critical: float
) -> tuple[float, float]:
    """Return the ends of an interval of an AUC, ``critical`` standard errors away on the logit scale.

    Two things keep it honest at the edges. The variance is at least Hanley and McNeil's for an AUC of that
    size, since DeLong's is zero when all members outrank all non-members. And an AUC within half a subject of
    0 or 1 is drawn in by that much for the logit, while the end on its side is 0 or 1 itself. The interval
    never has zero width.

    Parameters
    ----------
    auc, standard_error
        The estimate and DeLong's error on the AUC scale.
    members, nonmembers
        Subjects scored, in one draw.
    critical
        A normal quantile, or one from :func:`simultaneous_critical`.
    """
    edge = 0.5 / (min(members, nonmembers) + 1)
    inner = min(max(auc, edge), 1 - edge)
    variance = max(standard_error**2, float(hanley_mcneil_variance(inner, members, nonmembers)))
    # Delta method: the derivative of logit(a) is 1 / (a (1 - a)).
    half = critical * np.sqrt(variance) / (inner * (1 - inner))
    low = 0.0 if auc < edge else float(expit(logit(inner) - half))
    high = 1.0 if auc > 1 - edge else float(expit(logit(inner) + half))
    return low, high


def auc_interval(auc: float, standard_error: float, members: int, nonmembers: int) -> Interval:
    """Return the 95% interval of one AUC (see :func:`auc_bounds`)."""
    low, high = auc_bounds(auc, standard_error, members, nonmembers, float(stats.norm.ppf((1 + LEVEL) / 2)))
    return Interval(auc, low, high)


def wilson(proportion: float, trials: int) -> Interval:
    """Return Wilson's 95% interval of a proportion, which may be a mean over draws and no whole count.

    Source: Wilson, J. Am. Stat. Assoc. 22, 1927. SciPy's takes whole counts only.
    """
    z2 = float(stats.norm.ppf((1 + LEVEL) / 2)) ** 2
    centre = (proportion + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * (proportion * (1 - proportion) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return Interval(proportion, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def balanced_accuracy_interval(
    sensitivity: float, specificity: float, members: int, nonmembers: int
) -> Interval:
    """Return the mean of sensitivity and specificity with its 95% interval.

    The interval is recovered from two Wilson intervals (MOVER: Zou and Donner, Statistics in Medicine 27,
    2008; Newcombe, Statistics in Medicine 17, 1998).

    Parameters
    ----------
    sensitivity, specificity
        Shares of members, and of non-members, that are decided rightly; means over draws.
    members, nonmembers
        Subjects scored in one draw: more draws do not count as more subjects.
    """
    one, other = wilson(sensitivity, members), wilson(specificity, nonmembers)
    value = (sensitivity + specificity) / 2
    # The distance to each end is that of two independent halves: the root of the summed squares.
    below = np.hypot(one.value - one.low, other.value - other.low) / 2
    above = np.hypot(one.high - one.value, other.high - other.value) / 2
    return Interval(value, float(value - below), float(value + above))


def greatest_normal(
    correlation: Float[np.ndarray, "attacks attacks"], *, samples: int = 100_000
) -> Float[np.ndarray, " samples"]:
    """Return sorted draws of the greatest of several correlated standard normals.

    The generator is fixed: the same correlation gives the same draws. A singular correlation is fine.
    """
    # A square root of the correlation by its eigenvalues; Cholesky's would fail where attacks are copies.
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    draws = np.random.default_rng(0).standard_normal((samples, len(correlation))) @ root.T
    return np.sort(draws.max(axis=1))


def simultaneous_critical(greatest: Float[np.ndarray, " samples"], attacks: int, level: float) -> float:
    """Return how many standard errors a one-sided bound needs so as to hold for all attacks at once.

    One attack gets the exact normal quantile. Several get the quantile of the greatest error, by Monte Carlo
    (its own error is about 0.01 at level 0.99), held between the quantile of one attack and Bonferroni's.

    Parameters
    ----------
    greatest
        From :func:`greatest_normal`, for the correlation of the attacks' errors.
    attacks
        How many there are.
    level
        One-sided.
    """
    alone, bonferroni = (float(stats.norm.ppf(1 - (1 - level) / k)) for k in (1, attacks))
    return float(np.clip(np.quantile(greatest, level), alone, bonferroni))
