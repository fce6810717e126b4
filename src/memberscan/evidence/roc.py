"""Areas under ROC curves of several attacks on the same subjects, and how those areas vary together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def delong(
    scores: Float[np.ndarray, "attacks subjects"],
    member: Bool[np.ndarray, " subjects"],
    strata: Int[np.ndarray, " subjects"] | None = None,
) -> tuple[Float[np.ndarray, " attacks"], Float[np.ndarray, "attacks attacks"]]:
    """Return the AUC of each attack and DeLong's covariance of those AUCs.

    Placement values come from midranks (Sun and Xu, IEEE Signal Processing Letters 21, 2014), so the cost is
    that of sorting. With strata only pairs within a stratum count: the AUC is the mean of the strata's AUCs
    weighted by their numbers of pairs, and strata are independent. The covariance is over subjects, given the
    trained model: it is not the variation over retraining.

    Parameters
    ----------
    scores
        Finite scores; higher means more likely a member.
    member
        Who was trained on.
    strata
        A label for each subject; strata with fewer than two subjects on a side are left out (see
        :func:`comparable`).
    """
    auc, influence, _ = influences(scores, member, strata)
    return auc, influence @ influence.T


def influences(
    scores: Float[np.ndarray, "attacks subjects"],
    member: Bool[np.ndarray, " subjects"],
    strata: Int[np.ndarray, " subjects"] | None = None,
) -> tuple[
    Float[np.ndarray, " attacks"],
    Float[np.ndarray, "attacks subjects"],
    Float[np.ndarray, "attacks subjects"],
]:
    """Return AUCs, what each subject adds to their deviation from the true ones, and how much noise is in it.

    The products of two attacks' rows sum to the covariance of :func:`delong`. The noise is how much of the
    square of what a subject adds is expected from chance of whom it was compared with. Subjects outside
    comparable strata add nothing. Parameters as of :func:`delong`.
    """
    weights = weights_in_auc(member, strata)
    wins, pairs, (influence, noise) = np.zeros(len(scores)), 0, np.zeros((2, *scores.shape))
    for part in _parts(weights > 0, strata):
        inside = member[part]
        sizes = np.where(inside, inside.sum(), (~inside).sum())
        # A person's placement value is the share of the other side that it outranks. The AUC is their mean on
        # either side, and its variance the sum of both sides' variances of that mean (DeLong et al., 1988).
        below, level = np.stack([_below(row, inside) for row in scores[:, part]], axis=1)
        share = below / (len(inside) - sizes)
        placement = np.where(inside, share, 1 - share)
        of_members = placement[:, inside].mean(axis=1)
        # The AUC over all strata is the mean of independent AUCs, weighted by their pairs.
        comparisons = int(inside.sum() * (~inside).sum())
        wins += comparisons * of_members
        pairs += comparisons
        # Variances divide by the number of subjects less one.
        scale = weights[part] * np.sqrt(sizes / np.maximum(sizes - 1, 1))
        influence[:, part] = scale * (placement - of_members[:, None])
        # A comparison is 1, 0 or, with a tie, a half: its variance is p (1 - p) less a quarter of the share
        # of ties. With m opponents a place varies by that over m; of a sample, it is divided by m - 1.
        of_one = placement * (1 - placement) - level / (len(inside) - sizes) / 4
        noise[:, part] = scale**2 * of_one / np.maximum(len(inside) - sizes - 1, 1)
    return wins / max(pairs, 1), influence, noise


def _parts(
    counts: Bool[np.ndarray, " subjects"], strata: Int[np.ndarray, " subjects"] | None
) -> list[slice | Bool[np.ndarray, " subjects"]]:
    """Return the subjects of each stratum in which somebody counts; without strata, all of them."""
    if strata is None:
        return [slice(None)] if counts.any() else []
    return [strata == label for label in np.unique(strata[counts])]


def weights_in_auc(
    member: Bool[np.ndarray, " subjects"], strata: Int[np.ndarray, " subjects"] | None = None
) -> Float[np.ndarray, " subjects"]:
    """Return what each subject weighs among its side in the AUC of :func:`delong`; both sides sum to 1."""
    opponents = opponents_of(member, strata)
    return np.asarray(opponents / max(opponents[member].sum(), 1))


def opponents_of(
    member: Bool[np.ndarray, " subjects"], strata: Int[np.ndarray, " subjects"] | None = None
) -> Int[np.ndarray, " subjects"]:
    """Return with how many of the other side each subject is compared: 0 outside comparable strata."""
    if strata is None:
        return np.asarray(np.where(member, (~member).sum(), member.sum()))
    kept = comparable(member, strata)
    _, index = np.unique(strata, return_inverse=True)
    members, others = (np.bincount(index, side & kept).astype(int) for side in (member, ~member))
    return np.asarray(np.where(kept, np.where(member, others[index], members[index]), 0))


def _below(
    row: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"]
) -> Float[np.ndarray, "2 subjects"]:
    """Return how many of the other side score below each subject, ties as halves, and how many are tied.

    The first is the difference of the midranks among all and among the subject's own side, from one sort.
    """
    order = np.argsort(row)
    ordered, inside = row[order], member[order]
    begins = np.ones(len(row), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    tied, members = not begins.all(), inside.astype(float)
    if tied:
        first = np.flatnonzero(begins)
        size = np.diff(first, append=len(row))
        members = np.add.reduceat(members, first)
    others = (size if tied else 1) - members
    # Within a group of ties, each subject has half of the other side's below it.
    of_groups = [np.cumsum(side) - side / 2 for side in (others, members)]
    found = np.zeros((2, len(row)))
    found[0, order] = np.where(inside, *(np.repeat(each, size) if tied else each for each in of_groups))
    if tied:
        found[1, order] = np.where(inside, *(np.repeat(each, size) for each in (others, members)))
    return found


def comparable(
    member: Bool[np.ndarray, " subjects"], strata: Int[np.ndarray, " subjects"]
) -> Bool[np.ndarray, " subjects"]:
    """Return which subjects are in a stratum that holds at least two members and two non-members."""
    _, index = np.unique(strata, return_inverse=True)
    return (np.bincount(index, member)[index] >= 2) & (np.bincount(index, ~member)[index] >= 2)


def null_variance_within(
    member: Bool[np.ndarray, " subjects"], strata: Int[np.ndarray, " subjects"]
) -> float:
    """Return the variance that the AUC of :func:`delong` has by chance, with strata and without ties.

    Lopsided strata have fewer pairs than their people could form, and so a larger variance than one stratum
    of the same people. It is 0 where nobody is comparable.
    """
    kept = comparable(member, strata)
    _, index = np.unique(strata[kept], return_inverse=True)
    members, others = np.bincount(index, member[kept]), np.bincount(index, ~member[kept])
    pairs = members * others
    # Independent AUCs weighted by their pairs, each with Mann and Whitney's variance.
    return float((pairs * (members + others + 1)).sum() / 12 / max(pairs.sum(), 1) ** 2)


def aucs_of_rows(
    scores: Float[np.ndarray, "rows subjects"], member: Float[np.ndarray, "rows subjects"]
) -> Float[np.ndarray, " rows"]:
    """Return one AUC for each row of scores and labels (1 or 0), for permutation tests; ties count half."""
    order = np.argsort(scores, axis=1)
    labels = np.take_along_axis(member, order, axis=1)
    # Mann and Whitney: the rank sum of the members, less its smallest possible value, counts the pairs that
    # members win. Rows with ties get midranks in place of ranks.
    rank_sums = labels @ np.arange(1.0, scores.shape[1] + 1)
    ordered = np.take_along_axis(scores, order, axis=1)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        first = np.flatnonzero(np.r_[True, ordered[row, 1:] != ordered[row, :-1]])
        midranks = (first + np.r_[first[1:], len(ordered[row])] + 1) / 2
        rank_sums[row] = np.add.reduceat(labels[row], first) @ midranks
    n1 = member.sum(axis=1)
    return np.asarray((rank_sums - n1 * (n1 + 1) / 2) / (n1 * (scores.shape[1] - n1)))


def hanley_mcneil_variance(
    auc: Float[np.ndarray, " *shape"] | float, members: int, nonmembers: int
) -> Float[np.ndarray, " *shape"]:
    """Return the variance that an AUC of this size has under negative exponential scores.

    Source: Hanley and McNeil, Radiology 143, 1982. A planning value and a floor; it is not estimated from the
    scores.
    """
    a = np.asarray(auc, dtype=float)
    both_members = a / (2 - a) - a**2
    both_nonmembers = 2 * a**2 / (1 + a) - a**2
    total = a * (1 - a) + (members - 1) * both_members + (nonmembers - 1) * both_nonmembers
    return np.asarray(total / (members * nonmembers))


def null_variance(
    members: Int[np.ndarray, " *shape"] | int, nonmembers: Int[np.ndarray, " *shape"] | int
) -> Float[np.ndarray, " *shape"]:
    """Return the variance of an untied AUC by chance (Mann and Whitney, Ann. Math. Stat. 18, 1947)."""
    n1, n0 = np.asarray(members, dtype=float), np.asarray(nonmembers, dtype=float)
    return np.asarray((n1 + n0 + 1) / (12 * n1 * n0))
