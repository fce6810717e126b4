"""Comparable people where members and non-members differ without the model: strata and matched pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

PER_STRATUM = 20
MOST_STRATA = 20
CALIPER = 0.05
"""Greatest distance within a matched pair, in standard deviations of the blind score."""


def blind_strata(
    score: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"]
) -> Int[np.ndarray, " subjects"]:
    """Return quantile bins of a blind score, with about twenty people of the smaller side; at most twenty."""
    bins = int(np.clip(min(member.sum(), (~member).sum()) // PER_STRATUM, 2, MOST_STRATA))
    return np.searchsorted(np.quantile(score, np.arange(1, bins) / bins), score, side="right")


def matched_pairs(
    score: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"]
) -> Bool[np.ndarray, " subjects"]:
    """Return a subset with as many members as non-members, in pairs of nearly the same blind score.

    Pairs are within the caliper.
    """
    caliper = CALIPER * float(score.std())
    inside, outside = (
        side[np.argsort(score[side], kind="stable")] for side in map(np.flatnonzero, (member, ~member))
    )
    matched = np.zeros(len(score), dtype=bool)
    # Both sides are in rising order, and people below all that remain on the other side are dropped: that
    # gives the largest possible number of pairs.
    i = j = 0
    while i < len(inside) and j < len(outside):
        distance = score[inside[i]] - score[outside[j]]
        if abs(distance) <= caliper:
            matched[[inside[i], outside[j]]] = True
        i += int(distance <= caliper)
        j += int(distance >= -caliper)
    return matched
