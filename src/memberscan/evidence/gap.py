"""What the gap between training and test error alone predicts: a baseline for every audit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from memberscan.evidence.intervals import LEVEL, Interval

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


LARGEST_RESAMPLED = 100_000
"""Above this many subjects the bootstrap draws means from their normal distribution."""
_MOST_NUMBERS = 1_000_000
"""Subjects of resamples that are drawn at once."""


@dataclass(frozen=True)
class Gap:
    """What the error attack shows if residuals are Gaussian with mean zero and differ in spread only.

    This is not a finding: there was no attack. Intervals are percentile bootstraps over subjects.

    Parameters
    ----------
    h
        RMSE of non-members over RMSE of members, minus 1; ``None`` if members have no error at all.
    auc, accuracy
        Area and best balanced accuracy that follow from ``h``.
    """

    h: Interval | None
    auc: Interval
    accuracy: Interval


def gap_baseline(
    mean_square: Float[np.ndarray, " subjects"],
    member: Bool[np.ndarray, " subjects"],
    rng: np.random.Generator,
    *,
    resamples: int = 1000,
) -> Gap:
    """Return what the train/test gap predicts.

    Parameters
    ----------
    mean_square
        Mean squared residual of each subject over its scans, in years squared.
    member
        Who was trained on.
    rng
        Draws the resamples.
    resamples
        Bootstrap resamples of subjects, members and non-members apart.
    """
    sides = mean_square[member], mean_square[~member]
    ratio = np.array([_ratio(*(float(side.mean()) for side in sides)), *_resampled(sides, rng, resamples)])
    h = _percentile(ratio - 1) if np.isfinite(ratio).all() else None
    return Gap(h, _percentile(auc_of_ratio(ratio)), _percentile(accuracy_of_ratio(ratio)))


def _resampled(
    sides: tuple[np.ndarray, np.ndarray], rng: np.random.Generator, resamples: int
) -> Iterator[float]:
    """Yield the ratio of resampled sides."""
    if sum(map(len, sides)) > LARGEST_RESAMPLED:
        # The mean of so many resampled people is normal, so it can be drawn directly.
        means = [rng.normal(side.mean(), side.std() / np.sqrt(len(side)), resamples) for side in sides]
        yield from map(_ratio, *means)
        return
    # One call of the generator for many resamples gives the numbers of a call for each side of each.
    counts = np.repeat([len(side) for side in sides], [len(side) for side in sides])
    together = max(1, _MOST_NUMBERS // len(counts))
    for start in range(0, resamples, together):
        drawn = rng.integers(counts, size=(min(together, resamples - start), len(counts)))
        parts = np.split(drawn, [len(sides[0])], axis=1)
        means = [side[part].mean(axis=1).tolist() for side, part in zip(sides, parts, strict=True)]
        yield from map(_ratio, *means)


def auc_of_ratio(ratio: Float[np.ndarray, " *shape"]) -> Float[np.ndarray, " *shape"]:
    """Return the AUC of -|r|, (2/pi) arctan k, when non-members' residuals are k times as spread.

    Both are half-normal, and the ratio of two half-normals is half-Cauchy.
    """
    return np.asarray(2 / np.pi * np.arctan(ratio))


def accuracy_of_ratio(ratio: Float[np.ndarray, " *shape"]) -> Float[np.ndarray, " *shape"]:
    """Return the best balanced accuracy of a threshold on |r|, if non-members' residuals are k times as wide.

    It is 1/2 + Phi(k t) - Phi(t), where t = sqrt(2 ln k / (k^2 - 1)) is where the two half-normal densities
    cross, in standard deviations of non-members. Members with larger errors than non-members (k <= 1) give
    1/2: this attacker takes small errors for membership.
    """
    k = np.maximum(np.asarray(ratio, dtype=float), 1.0)
    finite = np.isfinite(k) & (k > 1)
    inner = np.where(finite, k, 2.0)
    t = np.sqrt(2 * np.log(inner) / ((inner - 1) * (inner + 1)))
    accuracy = 0.5 + np.maximum(special.ndtr(inner * t) - special.ndtr(t), 0)
    return np.where(finite, accuracy, np.where(k > 1, 1.0, 0.5))


def _ratio(inside: float, outside: float) -> float:
    """Return the ratio of root mean squares; no error on either side is no gap."""
    if inside == 0:
        return np.inf if outside > 0 else 1.0
    return float(np.sqrt(outside / inside))


def _percentile(values: Float[np.ndarray, " resamples"]) -> Interval:
    """Return the first value with the percentile interval of the rest."""
    low, high = np.quantile(values[1:], ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(float(values[0]), float(low), float(high))
