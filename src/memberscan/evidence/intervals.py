"""Intervals that hold at the edges too: AUCs, proportions, balanced accuracy, several attacks at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.special import expit, logit, ndtri

from memberscan.evidence.roc import hanley_mcneil_variance

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LEVEL = 0.95
"""Two-sided level of every interval of a single number."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95% interval: over subjects given this trained model, not over retraining."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return JSON values."""
        return asdict(self)


def half_width_of_mean(
    values: Float[np.ndarray, " trainings"],
    variances: Float[np.ndarray, " trainings"],
    of_people: float,
    level: float = LEVEL,
) -> float:
    """Return half the width of the interval of a mean over trainings, for other people and other trainings.

    Two errors add up: that over people, and what the variance between trainings exceeds it by, which is due
    to other draws and trainings. Trainings are few, so that Student's t applies to the second one. With one
    training there is no second part.

    Parameters
    ----------
    values
        The estimates.
    variances
        Of each over people, given its trained model.
    of_people
        Variance of the mean over people, which are the same or others in each training.
    level
        Of the interval.
    """
    count = len(values)
    variance = float(ndtri((1 + level) / 2)) ** 2 * of_people
    if count > 1:
        between = float(values.var(ddof=1)) / count
        within = float(variances.sum()) / count**2
        variance += float(stats.t.ppf((1 + level) / 2, count - 1)) ** 2 * max(0.0, between - within)
    return float(np.sqrt(variance))


def auc_bounds(
    auc: float, standard_error: float, members: int, nonmembers: int, critical: float
) -> tuple[float, float]:
    """Return the ends of an interval of an AUC, ``critical`` standard errors away on the logit scale.

    Two rules keep it valid near 0 and 1. The variance is at least Hanley and McNeil's for an AUC of that
    size, since DeLong's is zero when all members outrank all non-members. And an AUC within half a subject of
    0 or 1 is moved inwards by half a subject for the logit, while the end on its side is 0 or 1 itself. The
    interval never has zero width.

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
    low, high = auc_bounds(auc, standard_error, members, nonmembers, float(ndtri((1 + LEVEL) / 2)))
    return Interval(auc, low, high)


def wilson(proportion: float, trials: int) -> Interval:
    """Return Wilson's 95% interval of a proportion, which may be a mean over draws and no whole count.

    Source: Wilson, J. Am. Stat. Assoc. 22, 1927. SciPy's takes whole counts only.
    """
    z2 = float(ndtri((1 + LEVEL) / 2)) ** 2
    centre = (proportion + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * (proportion * (1 - proportion) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return Interval(proportion, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def balanced_accuracy_interval(
    sensitivity: float,
    specificity: float,
    members: int,
    nonmembers: int,
    weights: tuple[float, float] = (1.0, 1.0),
) -> Interval:
    """Return the mean of sensitivity and specificity with its 95% interval.

    The interval is recovered from two Wilson intervals (MOVER: Zou and Donner, Statistics in Medicine 27,
    2008; Newcombe, Statistics in Medicine 17, 1998).

    Parameters
    ----------
    sensitivity, specificity
        Shares of members, and of non-members, that are classified correctly; means over draws.
    members, nonmembers
        Subjects scored: more draws do not count as more subjects.
    weights
        How far an error of each share moves twice the accuracy: not by itself only, where the threshold
        depends on the same subjects (see :func:`weights_at_quantile`).
    """
    one, other = wilson(sensitivity, members), wilson(specificity, nonmembers)
    value = (sensitivity + specificity) / 2
    # The distance to each end is that of two independent halves: the root of the summed squares.
    first, second = weights
    below = np.hypot(first * (one.value - one.low), second * (other.value - other.low)) / 2
    above = np.hypot(first * (one.high - one.value), second * (other.high - other.value)) / 2
    return Interval(value, max(0.0, float(value - below)), min(1.0, float(value + above)))


def weights_at_quantile(
    values: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"], threshold: float
) -> tuple[float, float]:
    """Return how far errors of sensitivity and of specificity move twice the accuracy at a quantile.

    A threshold that is the quantile of all scores at the share of non-members rises with the sensitivity and
    falls with the specificity. To first order an error e of the sensitivity, with members a share p of all,
    moves it by p e / f, where f is the density of all scores (Bahadur, Ann. Math. Stat. 37, 1966), and the
    sum of both shares by as much times the difference of the densities of non-members and members. Densities
    are those of the subjects within about two standard errors of the threshold.

    Parameters
    ----------
    values
        Scores.
    member
        Who was trained on.
    threshold
        The quantile.
    """
    share = float(member.mean())
    near = max(2, round(4 * np.sqrt(len(values) * share * (1 - share))))
    nearest = member[np.argsort(np.abs(values - threshold), kind="stable")[:near]]
    inside, outside = nearest.mean() / share, (~nearest).mean() / (1 - share)
    # In units of the density of all scores, of which the nearest subjects are the measure.
    slope = float(outside - inside)
    return 1 + share * slope, 1 - (1 - share) * slope


def weights_by_share(
    values: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"], threshold: float
) -> tuple[float, float]:
    """Return the weights of :func:`weights_at_quantile`, or 1 where the threshold is no such quantile.

    An attack that knows the share of members only calls as many people members. Parameters as there.
    """
    by_share = abs(int((values > threshold).sum()) - int(member.sum())) <= 1
    return weights_at_quantile(values, member, threshold) if by_share else (1.0, 1.0)


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


def simultaneous_critical(
    greatest: Float[np.ndarray, " samples"] | None, attacks: int, level: float
) -> float:
    """Return how many standard errors a one-sided bound needs so as to hold for all attacks at once.

    One attack gets the exact normal quantile. Several get the quantile of the greatest error, by Monte Carlo
    (its own error is about 0.01 at level 0.99), held between the quantile of one attack and Bonferroni's.

    Parameters
    ----------
    greatest
        From :func:`greatest_normal`, for the correlation of the attacks' errors. One attack needs none.
    attacks
        How many there are.
    level
        One-sided.
    """
    alone, bonferroni = (float(ndtri(1 - (1 - level) / k)) for k in (1, attacks))
    return alone if greatest is None else float(np.clip(np.quantile(greatest, level), alone, bonferroni))
