"""Results of an attack at few false alarms: ROC curve, TPR and predictive value at fixed FPR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from scipy.special import betaincinv

from memberscan.evidence.intervals import LEVEL

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.scores import Scores

FPRS = (0.1, 0.01, 0.001)
PRIORS = (0.5, 0.1, 0.01)
CURVE_POINTS = 200

Ends = tuple[tuple[float, float], tuple[float, float]]
"""How many members and non-members count for the lower limit, and for the upper one."""


@dataclass(frozen=True)
class PositivePredictiveValue:
    """The share of alarms that are right where ``prior`` is the share of members among the screened."""

    prior: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OperatingPoint:
    """The true-positive rate at one false-positive rate; ``None`` with a reason where it is not resolved."""

    fpr: float
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    ppv: tuple[PositivePredictiveValue, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"ppv": [asdict(value) for value in self.ppv]}


def operating_points(
    attack: Scores, decisions: tuple[float, float] = (1.0, 1.0)
) -> tuple[OperatingPoint, ...]:
    """Return TPR and PPV at a false-positive rate of 10%, 1% and 0.1%, never interpolated or extrapolated.

    A rate is resolved if one row compares at least 3/FPR non-members. Value and interval are means over rows.
    Draws share their people's errors as those of accuracies do. Of pairs of parties, which share people in
    other ways, each has the interval of its own people, and their mean is too wide rather than too narrow.

    Parameters
    ----------
    attack
        Scores.
    decisions
        What :meth:`.Estimates.decisions_of` returns for this attack.
    """
    rows, points = attack.split(), []
    ends = None if attack.pairs else _counted(attack, decisions)
    for fpr in FPRS:
        found = mean_rate(rows, fpr, ends)
        if found is None:
            nonmembers = min(len(outside) for _, outside in rows)
            reason = f"needs {_needed(fpr):,} non-members scored in one draw; there are {nonmembers:,}"
            points.append(OperatingPoint(fpr, None, None, None, reason, ()))
            continue
        tpr = np.array(found)
        # Bayes' rule: right alarms over all alarms.
        ppv = [
            PositivePredictiveValue(prior, *(prior * tpr / (prior * tpr + (1 - prior) * fpr)).tolist())
            for prior in PRIORS
        ]
        value, low, high = tpr.tolist()
        points.append(OperatingPoint(fpr, value, low, high, None, tuple(ppv)))
    return tuple(points)


def _counted(attack: Scores, decisions: tuple[float, float]) -> Ends:
    members, nonmembers = attack.people_counted
    below, above = decisions
    return (members / below, nonmembers / below), (members / above, nonmembers / above)


def mean_rate(
    rows: Sequence[tuple[Float[np.ndarray, " members"], Float[np.ndarray, " nonmembers"]]],
    fpr: float,
    ends: Ends | None = None,
) -> tuple[float, float, float] | None:
    """Return the TPR with its interval, see :func:`tpr_interval`, as means over rows.

    None if some row compares too few non-members to resolve the rate.
    """
    if min(len(outside) for _, outside in rows) < _needed(fpr):
        return None
    value, low, high = np.mean([tpr_interval(*sides, fpr, ends) for sides in rows], axis=0).tolist()
    return value, low, high


def _needed(fpr: float) -> int:
    """Return how many non-members resolve a false-positive rate."""
    return round(3 / fpr)


def tpr_interval(
    inside: Float[np.ndarray, " members"],
    outside: Float[np.ndarray, " nonmembers"],
    fpr: float,
    ends: Ends | None = None,
) -> tuple[float, float, float]:
    """Return the TPR at the laxest threshold with an expected FPR of at most ``fpr``, and its 95% interval.

    A new non-member exceeds the k-th largest of n non-members with probability k / (n + 1), whatever the
    distribution of scores. The largest k with k / (n + 1) <= ``fpr`` therefore gives the threshold; with
    k = floor(fpr n) + 1, where the empirical FPR is at most ``fpr``, the expected one would exceed it.

    The threshold is itself an estimate: the number of non-members beyond the true one is binomial, which
    gives a band of order statistics. The interval runs from Clopper and Pearson's lower limit at the
    strictest threshold of the band to their upper limit at the laxest, so it covers the TPR at the true
    threshold.

    Parameters
    ----------
    inside, outside
        Scores.
    fpr
        The false-positive rate.
    ends
        How many members and non-members the lower limit counts, and the upper: more than are here, if these
        are a draw of several whose mean is wanted. The band is then that of so many non-members, of which the
        ranks are carried over to these.
    """
    members, nonmembers = len(inside), len(outside)
    below, above = ends or ((members, nonmembers), (members, nonmembers))
    # Thresholds by rank: no score exceeds rank 0, and every score exceeds rank n + 1.
    thresholds = np.concatenate([[np.inf], np.sort(outside)[::-1], [-np.inf]])
    alpha = 1 - LEVEL
    # Which share of the non-members may lie beyond the true threshold, in 95% of samples.
    fewest = stats.binom.ppf(alpha / 2, round(below[1]), fpr) / round(below[1])
    most = (stats.binom.ppf(1 - alpha / 2, round(above[1]), fpr) + 1) / round(above[1])
    ranks = (
        int(fewest * nonmembers + 1e-9),
        int(fpr * (nonmembers + 1) + 1e-9),
        min(int(np.ceil(most * nonmembers - 1e-9)), nonmembers + 1),
    )
    caught = [float((inside > thresholds[rank]).mean()) for rank in ranks]
    low = clopper_pearson(caught[0] * below[0], below[0])[0]
    high = clopper_pearson(caught[2] * above[0], above[0])[1]
    return caught[1], low, high


def clopper_pearson(successes: float, trials: float) -> tuple[float, float]:
    """Return the exact 95% limits of a proportion, as quantiles of beta distributions.

    Numbers need not be whole: a mean over draws counts as so many people as vary like it.
    """
    tail, failures = (1 - LEVEL) / 2, trials - successes
    low = betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return float(low), float(high)


def roc_points(attack: Scores) -> Float[np.ndarray, "2 points"]:
    """Return false- and true-positive rates for a curve on log-log axes, averaged over rows at equal FPR.

    The k-th largest of n non-members is a threshold with an expected FPR of k / (n + 1), as in
    :func:`tpr_interval`. The rates are such ones, dense where they are small.
    """
    rows = attack.split()
    nonmembers = min(len(outside) for _, outside in rows)
    ranks = np.unique(
        np.round(np.concatenate([[0], np.geomspace(1, nonmembers + 1, CURVE_POINTS - 1)])).astype(int)
    )
    tpr = np.zeros(len(ranks))
    for inside, outside in rows:
        # Rows with more non-members are read at the same rates as the row with the fewest.
        of_row = ranks * (len(outside) + 1) // (nonmembers + 1)
        thresholds = np.concatenate([[np.inf], np.sort(outside)[::-1], [-np.inf]])[of_row]
        tpr += 1 - np.searchsorted(np.sort(inside), thresholds, side="right") / len(inside)
    return np.stack([ranks / (nonmembers + 1), tpr / len(rows)])
