"""What to do when members and non-members differ by themselves: strata, matched subsets, adjusted scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

from memberscan.evidence.joint import Joint, enough_comparable, joint
from memberscan.evidence.scored import Scored

PER_STRATUM = 20
MOST_STRATA = 20
CALIPER = 0.05
"""Greatest distance within a matched pair, in standard deviations of the blind score."""


def blind_strata(
    score: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"]
) -> Int[np.ndarray, " subjects"]:
    """Return quantile bins of a blind score, about twenty of the rarer side a bin, and at most twenty."""
    bins = int(np.clip(min(member.sum(), (~member).sum()) // PER_STRATUM, 2, MOST_STRATA))
    return np.searchsorted(np.quantile(score, np.arange(1, bins) / bins), score, side="right")


def matched_pairs(
    score: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"]
) -> Bool[np.ndarray, " subjects"]:
    """Return a subset with as many members as non-members, in pairs of nearly the same blind score.

    Pairs are within the caliper. Going upwards and dropping whoever is too low for all that remain pairs as
    many as can be.
    """
    caliper = CALIPER * float(score.std())
    inside, outside = (
        side[np.argsort(score[side], kind="stable")] for side in map(np.flatnonzero, (member, ~member))
    )
    matched = np.zeros(len(score), dtype=bool)
    i = j = 0
    while i < len(inside) and j < len(outside):
        distance = score[inside[i]] - score[outside[j]]
        if abs(distance) <= caliper:
            matched[[inside[i], outside[j]]] = True
        i += int(distance <= caliper)
        j += int(distance >= -caliper)
    return matched


def adjusted(attacks: Sequence[Scored], features: Float[np.ndarray, "subjects features"]) -> list[Scored]:
    """Return scores with what the covariates explain of them taken out, draw by draw.

    Scores become normal scores of their ranks; their least-squares fit on the covariates is subtracted.
    Membership is not used, so whatever it shares with the covariates goes too: the rest understates a leak
    rather than invents one.
    """
    return [
        replace(attack, scores=np.stack([_residual(row, features) for row in attack.scores]))
        for attack in attacks
    ]


def _residual(
    row: Float[np.ndarray, " subjects"], features: Float[np.ndarray, "subjects features"]
) -> np.ndarray:
    scored = ~np.isnan(row)
    z = stats.norm.ppf((stats.rankdata(row[scored]) - 0.5) / scored.sum())
    x = np.column_stack([np.ones(len(z)), features[scored]])
    residual = np.full(len(row), np.nan)
    residual[scored] = z - x @ np.linalg.lstsq(x, z, rcond=None)[0]
    return residual


def within_strata(
    attacks: Sequence[Scored],
    member: Bool[np.ndarray, " subjects"],
    strata: Int[np.ndarray, " subjects"],
    features: Float[np.ndarray, "subjects features"],
) -> Joint | None:
    """Return the AUCs among subjects alike in their covariates, or ``None`` if too few are left to compare.

    Only pairs within a stratum of the blind score count, after the covariates were taken out of the attacks'
    scores. Each step alone leaves bias: strata because people within one still differ, regression because its
    form is assumed.
    """
    if not enough_comparable(attacks, member, strata):
        return None
    return joint(adjusted(attacks, features), member, strata)
