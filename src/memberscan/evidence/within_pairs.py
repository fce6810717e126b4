"""Pairs where a victim's people differ from the held-out ones without any model: what is left among alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memberscan.evidence.confounding import adjusted
from memberscan.evidence.joint import Joint
from memberscan.evidence.pairs import HELD_OUT, PairScores, compared
from memberscan.evidence.pooled import Pooled, resample_weights
from memberscan.evidence.roc import comparable
from memberscan.evidence.scored import FEWEST, Scored

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def within_pairs(
    attacks: Sequence[PairScores],
    home: Int[np.ndarray, " subjects"],
    strata: Sequence[Int[np.ndarray, " asked"]],
    features: Sequence[Float[np.ndarray, "asked features"]],
    rng: np.random.Generator,
    *,
    resamples: int = 1000,
) -> Joint | None:
    """Pool attacks over pairs, comparing only subjects alike in their covariates; None if too few are.

    As :func:`memberscan.evidence.confounding.within_strata`, pair by pair: the covariates are regressed out
    of the scores, and only subjects in one stratum of the victim's blind score are compared. A victim with
    fewer than ten such subjects on a side drops out. Errors as of
    :func:`memberscan.evidence.pooled.pooled`.

    Parameters
    ----------
    attacks, home
        As there.
    strata, features
        For each victim, of its subjects and the held-out ones in the order of ``home``: the stratum of the
        blind score, and the covariates as columns.
    rng
        Draws the resamples.
    """
    sides = compared(attacks, home)
    sums, counts = np.zeros((resamples + 1, len(attacks))), np.zeros(len(attacks), dtype=int)
    inside_seen, outside_seen = np.zeros(len(home), dtype=bool), np.zeros(len(home), dtype=bool)
    outside_weight = np.zeros((resamples + 1, len(home)))
    outside_weight[:, sides.outside] = resample_weights(len(sides.outside), resamples, rng)
    for v, positions in enumerate(sides.inside):
        weight = resample_weights(len(positions), resamples, rng)
        asked = np.flatnonzero((home == v) | (home == HELD_OUT))
        scored = np.isin(asked, np.concatenate([positions, sides.outside]))
        kept = scored.copy()
        kept[scored] = comparable(home[asked[scored]] == v, strata[v][scored])
        members, others = asked[kept & (home[asked] == v)], asked[kept & (home[asked] != v)]
        if min(len(members), len(others)) < FEWEST:
            continue
        inside_seen[members], outside_seen[others] = True, True
        stratum = np.full(len(home), -1)
        stratum[asked] = strata[v]
        alike = stratum[members][:, None] == stratum[others][None]
        inside = weight[:, np.searchsorted(positions, members)]
        outside = outside_weight[:, others]
        total = np.einsum("bj,bj->b", inside @ alike, outside)
        for k, attack in enumerate(attacks):
            for a in np.flatnonzero(sides.pairs(attack)[:, v]):
                row = _adjusted(attack, int(a), v, asked, features[v])
                wins = alike * (1 + np.sign(row[members][:, None] - row[others][None])) / 2
                sums[:, k] += np.einsum("bj,bj->b", inside @ wins, outside) / np.maximum(total, 1)
                counts[k] += 1
    if not counts.all():
        return None
    auc = sums / counts
    people = (np.full(len(attacks), seen.sum()) for seen in (inside_seen, outside_seen))
    return Pooled(tuple(a.attack for a in attacks), auc, auc, auc, *people).joint


def _adjusted(
    attack: PairScores, a: int, v: int, asked: Int[np.ndarray, " asked"], features: np.ndarray
) -> Float[np.ndarray, " subjects"]:
    """Return one pair's scores of all subjects, without what the covariates explain of them."""
    row = np.full(attack.scores.shape[2], np.nan)
    pair = Scored(attack.attack, True, attack.scores[a, v, asked][None], np.zeros(1))
    (rest,) = adjusted([pair], features)
    row[asked] = rest.scores[0]
    return row


def placements(attack: PairScores, home: Int[np.ndarray, " subjects"]) -> Scored:
    """Return one score per subject: its mean place among the held-out ones of each pair that compares it.

    That makes pairs comparable whose scores are on scales of their own. NaN for subjects that no pair
    compares; the threshold is the mean place of the pairs' own thresholds.
    """
    sides = compared([attack], home)
    total, count = np.zeros(len(home)), np.zeros(len(home))
    thresholds = []
    for a, v in np.argwhere(sides.pairs(attack)):
        held_out = np.sort(attack.scores[a, v, sides.outside])
        positions = np.concatenate([sides.inside[v], sides.outside])
        total[positions] += _place(held_out, attack.scores[a, v, positions])
        count[positions] += 1
        thresholds.append(_place(held_out, attack.thresholds[a, v, None])[0])
    scores = np.divide(total, count, out=np.full(len(home), np.nan), where=count > 0)
    return Scored(attack.attack, True, scores[None], np.array([np.mean(thresholds)]))


def placements_among_alike(
    attack: PairScores,
    home: Int[np.ndarray, " subjects"],
    strata: Sequence[Int[np.ndarray, " asked"]],
    features: Sequence[Float[np.ndarray, "asked features"]],
) -> Scored:
    """Return one score per subject: its mean place among the held-out ones alike in their covariates.

    As :func:`placements`, of scores without what the covariates explain of them, and among the held-out
    subjects in the same stratum of the victim's blind score only. Subjects without anybody alike on the other
    side get NaN. Thresholds are NaN, since adjusted scores have none.

    Parameters
    ----------
    attack, home, strata, features
        As given to :func:`within_pairs`.
    """
    sides = compared([attack], home)
    total, count = np.zeros(len(home)), np.zeros(len(home))
    for a, v in np.argwhere(sides.pairs(attack)):
        asked = np.flatnonzero((home == v) | (home == HELD_OUT))
        row = _adjusted(attack, int(a), int(v), asked, features[v])
        stratum = np.full(len(home), -1)
        stratum[asked] = strata[v]
        for level in np.unique(strata[v]):
            inside = sides.inside[v][stratum[sides.inside[v]] == level]
            outside = sides.outside[stratum[sides.outside] == level]
            if not (len(inside) and len(outside)):
                continue
            positions = np.concatenate([inside, outside])
            total[positions] += _place(np.sort(row[outside]), row[positions])
            count[positions] += 1
    scores = np.divide(total, count, out=np.full(len(home), np.nan), where=count > 0)
    return Scored(attack.attack, True, scores[None], np.array([np.nan]))


def _place(sorted_scores: Float[np.ndarray, " n"], values: Float[np.ndarray, " m"]) -> np.ndarray:
    """Return the share of scores below each value; ties count half."""
    left, right = (np.searchsorted(sorted_scores, values, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / (2 * len(sorted_scores)))
