"""What outputs say at most of who was trained on: conditional mutual information, and the best accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import entr

from memberscan.evidence.left_out import Average, jackknife_error, share_of_right
from memberscan.evidence.reference_laws import learn_laws

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.left_out import LeftOut
    from memberscan.evidence.twins import Twins
    from memberscan.evidence.two_normals import TwoNormals

_LEVELS = 12
"""Bins of the certainty of an answer."""
_MASKS = 200
_REFITS = 20


@dataclass(frozen=True)
class PairInformation:
    """How much of the one bit "which of two people was trained on" a model's outputs on both give away.

    This is the conditional mutual information of outputs (f-CMI: Harutyunyan, Raginsky, Ver Steeg and
    Galstyan, NeurIPS 2021; after Steinke and Zakynthinou, COLT 2020), with pairs of people as given and the
    mask that picks one of each pair drawn at random, as a mean over pairs. 0: outputs say nothing. 1: they
    say all. It bounds the generalisation gap of the training algorithm from above, and the success of any
    attack that asks this question: one that is right with probability a gives at least 1 - H(a) bits.

    It is estimated from below, since outputs enter through one number per pair, the difference of the two
    people's log-likelihood ratios by laws learned from other references; no function of the outputs has more
    information than they have. It is *not* a bound for attacks on weights, or for outputs on further scans.

    Parameters
    ----------
    pairs
        How many pairs of people.
    bits
        The estimate, after the bias was removed; it may be below zero by chance.
    bias
        What the same calculation gives on average under permuted masks, where there is no information.
    """

    pairs: int
    bits: Average
    bias: float


@dataclass(frozen=True)
class BestAccuracy:
    """The best balanced accuracy that an attack on a model's outputs can have, as a mean over people.

    It is 1/2 + D/2, where D is the total variation distance between the laws of a person's output with and
    without it in training (Aubinais, Gassiat and Piantanida, arXiv 2310.13786): no attack that sees the
    output on this person's scans and nothing else can do better, whatever it knows of the recipe and the
    data.

    Parameters
    ----------
    attained
        By the test of the laws learned from all references but two, on those two: a lower bound, without
        bias.
    best
        1/2 + D/2 of two normal laws for each person, with means and variances learned from all references.
        The bias of the estimated D, which is never below zero, is removed: it is what the same calculation
        gives under permuted masks, and matters the less the greater D. At least what was attained.
    """

    attained: Average
    best: Average


def measure_pairs(
    twins: Twins, ratios: LeftOut, rng: np.random.Generator, masks: int = _MASKS
) -> PairInformation | None:
    """Estimate how much outputs say of which of two people was trained on; None where nobody has a partner.

    Parameters
    ----------
    twins
        Residuals.
    ratios
        From :func:`memberscan.evidence.left_out.leave_out`.
    rng
        Draws the permuted masks.
    masks
        How many of them.
    """
    one = np.flatnonzero(twins.partner > np.arange(len(twins.partner)))
    other = twins.partner[one]
    told = twins.told[:, one] & ~np.isnan(ratios.inside[:, one]) & ~np.isnan(ratios.inside[:, other])
    if not told.any():
        return None
    # Each twin is one draw of the mask of a pair of people: evidence for who was in, positive if right.
    right = np.stack(
        [
            ratios.inside[:, one] - ratios.outside[:, other],
            ratios.inside[:, other] - ratios.outside[:, one],
        ]
    )[:, told]
    twin = np.broadcast_to(np.arange(len(twins))[:, None], told.shape)[told]
    # Under another mask the other one of the two was in, at both twins: the evidence changes its sign.
    level = _levels(np.abs(right))
    signs = rng.choice([-1.0, 1.0], (masks, right.shape[1]))
    bias = float(np.mean([_bits(level, right * flipped) for flipped in signs]))
    # Jackknife over twins, as for exposure.
    without = [_bits(level[:, twin != k], right[:, twin != k]) for k in np.unique(twin)]
    bits = Average(_bits(level, right) - bias, jackknife_error(np.array(without)), len(without))
    return PairInformation(int(told.any(axis=0).sum()), bits, bias)


def best_accuracy(
    twins: Twins, without: list[TwoNormals], ratios: LeftOut, rng: np.random.Generator
) -> BestAccuracy:
    """Estimate the best balanced accuracy of any attack on outputs, from below and by the learned laws.

    Parameters
    ----------
    twins
        Residuals.
    without
        From :func:`memberscan.evidence.left_out.laws_without_each`.
    ratios
        From :func:`memberscan.evidence.left_out.leave_out`.
    rng
        Draws the permuted masks.
    """
    permuted = (twins.swapped(rng.random(twins.told.shape) < 0.5) for _ in range(_REFITS))
    chance = float(np.mean([learn_laws(each).total_variation.mean() for each in permuted]))

    def accuracy(laws: TwoNormals) -> float:
        distance = float(laws.total_variation.mean())
        # A distance is as the length of a vector: chance adds to its square.
        return 0.5 + math.sqrt(max(0.0, distance**2 - chance**2)) / 2

    error = jackknife_error(np.array([accuracy(laws) for laws in without]))
    attained = share_of_right(ratios.balanced)
    # What was attained is possible, also where the laws are not normal.
    best = max(accuracy(learn_laws(twins)), attained.value)
    return BestAccuracy(attained, Average(best, error, len(twins)))


def _levels(certainty: Float[np.ndarray, "two draws"]) -> Float[np.ndarray, "two draws"]:
    """Return to which of a few equally large bins each answer's certainty belongs."""
    edges = np.quantile(certainty, np.arange(1, _LEVELS) / _LEVELS)
    return np.asarray(np.searchsorted(edges, certainty))


def _bits(level: Float[np.ndarray, "two draws"], right: Float[np.ndarray, "two draws"]) -> float:
    """Return the mutual information, in bits, of the answers with the mask, whose bits are fair coins.

    An answer that is right with probability p says 1 - H(p) bits. The mean over bins of certainty is that of
    the certainty and the answer together.
    """
    count = np.bincount(level.ravel(), minlength=_LEVELS)
    correct = np.bincount(level.ravel(), ((np.sign(right) + 1) / 2).ravel(), _LEVELS)
    share = correct / np.maximum(count, 1)
    return float((count * (1 - (entr(share) + entr(1 - share)) / np.log(2))).sum() / count.sum())
