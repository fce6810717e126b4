"""Which people are exposed: a list whose share of false discoveries is controlled, however few references."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.reference_laws import (
    enough,
    log_variance_ratio,
    moderated,
    regress_shift,
)
from memberscan.evidence.two_normals import TwoNormals

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.twins import Twins


def swap_evidence(twins: Twins) -> Float[np.ndarray, " people"]:
    """Return evidence that training on each person matters; it changes its sign if all twins are swapped.

    It is the sum over twins of the log-likelihood ratio of the residual with the person in training, less
    that of the residual without. All that the two laws rest on is either symmetric in the twins or learned
    from other people. So where training on a person changes nothing, its sign is that of a fair coin, given
    its size; where it matters, it is positive. NaN for people with too few references.

    Notes
    -----
    The means of the laws lie around the mean of all the person's residuals, apart by the shift that others
    predict; the variances have the person's own level, of all its residuals, and the ratio of people like it.
    """
    kept = enough(twins)
    n = np.maximum(twins.count, 1)
    both = np.concatenate([twins.inside, twins.outside])
    middle = both.sum(axis=0) / (2 * n)
    told = np.concatenate([twins.told, twins.told])
    squares = (np.where(told, both - middle, 0.0) ** 2).sum(axis=0)
    level = moderated(squares, np.where(kept, 2.0 * n - 1, 0.0), kept)
    difference = (twins.inside - twins.outside).sum(axis=0) / n
    shift = regress_shift(difference, middle, twins.label, np.where(kept, n, 0)).without
    ratio = np.exp(log_variance_ratio(twins, level, kept))
    outside = 2 * level / (1 + ratio)
    laws = TwoNormals(middle + shift / 2, ratio * outside, middle - shift / 2, outside)
    terms = laws.log_ratio(twins.inside) - laws.log_ratio(twins.outside)
    return np.where(kept, np.where(twins.told, terms, 0.0).sum(axis=0), np.nan)


def q_values(evidence: Float[np.ndarray, " people"]) -> Float[np.ndarray, " people"]:
    """Return for each person the least false discovery rate at which a list names it; 1 if none does.

    A list of all people with evidence of at least t holds about as many to whom training makes no difference
    as there are people with evidence of at most -t, since for them either sign is equally likely. One is
    added to that number. The list of all people with a q-value of at most q then has an expected share of
    false discoveries of at most q, however few references there are, if the signs are independent (the
    knockoff+ filter: Barber and Candès, Ann. Stat. 43, 2015).

    Notes
    -----
    This replaces p-values with the procedure of Benjamini and Hochberg: with K references a person's p-value
    cannot be below 2^(-K/2), so that no list of hundreds of people could name anybody with eight references.
    The price is that a list names nobody or at least 1/q people: ten at a rate of 10%.

    Parameters
    ----------
    evidence
        From :func:`swap_evidence`. NaN names nobody, and counts for nothing.
    """
    found = np.ones(len(evidence))
    positive = np.flatnonzero(evidence > 0)
    order = positive[np.argsort(-evidence[positive], kind="stable")]
    against = np.sort(-evidence[evidence < 0])
    # At the threshold of each person: people as far below zero, and people at least as far above.
    threshold = evidence[order]
    below = len(against) - np.searchsorted(against, threshold, side="left")
    above = np.searchsorted(-threshold, -threshold, side="right")
    rate = np.minimum((1 + below) / np.maximum(above, 1), 1.0)
    # A list is as good as the best threshold at or below the person's own evidence.
    found[order] = np.minimum.accumulate(rate[::-1])[::-1]
    return found
