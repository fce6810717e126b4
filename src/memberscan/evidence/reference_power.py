"""What more references would give an attacker: an attack's AUC by their number, and beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

from memberscan.evidence.intervals import LEVEL, Interval

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FEWEST_SIZES = 3
"""Numbers of references from which a curve can be extrapolated."""
_FACTORS = (2, 4)
"""Multiples of the number of references to which it is."""
_REPEATS = 8


@dataclass(frozen=True)
class ReferencePower:
    """An attack's AUC by the number of references.

    Intervals cover the choice of references, for this target and these people. Beyond the references at hand
    they also cover the error of the curve, but not the possibility that it is of another form.

    Parameters
    ----------
    attack
        Its name.
    measured
        Number of references, and the mean AUC over subsets of that size.
    expected
        The same for more references than there are; empty with fewer than three sizes.
    limit
        With any number of references; None likewise.
    """

    attack: str
    measured: tuple[tuple[int, Interval], ...]
    expected: tuple[tuple[int, Interval], ...] = ()
    limit: Interval | None = None


def measure_power(
    attack: str,
    auc_with: Callable[[Int[np.ndarray, " twins"]], float],
    twins: int,
    rng: np.random.Generator,
    repeats: int = _REPEATS,
) -> ReferencePower:
    """Measure an attack's AUC with subsets of the references, and extrapolate it.

    Parameters
    ----------
    attack
        Its name.
    auc_with
        Returns the AUC of the attack with some pairs of twins only, given their numbers from 0.
    twins
        How many pairs of twins there are.
    rng
        Draws subsets.
    repeats
        Most subsets of one size.

    Notes
    -----
    What the moments of K references miss of the best statistic falls as 1/K, and so does what is lost of the
    distance between members and non-members. The curve is z = a - b / K for z = sqrt(2) times the normal
    quantile of the AUC, with b at least 0.

    The spread of z over subsets of one size tells the variance of one subset, s^2 / K. Subsets of a size
    overlap: there are no more than twins / size independent ones, so that no mean is more precise than that
    with all references. Means of different sizes share their references, and are wrong in common by as much.
    """
    sizes = _sizes(twins)
    values = [_subsets(auc_with, twins, size, rng, repeats) for size in sizes]
    z = [np.sqrt(2) * ndtri(np.clip(each, 1e-4, 1 - 1e-4)) for each in values]
    # Pooled over sizes below the full one: the variance of one subset times its size.
    several = [(size, each) for size, each in zip(sizes, z, strict=True) if len(each) > 1]
    freedom = sum(len(each) - 1 for _, each in several)
    squares = sum(size * _finite(size, twins) * ((each - each.mean()) ** 2).sum() for size, each in several)
    variance = float(squares) / freedom if freedom else np.nan
    means = np.array([each.mean() for each in z])
    common = np.sqrt(variance / twins)
    wide = float(stats.t.ppf((1 + LEVEL) / 2, max(freedom, 1)))
    measured = tuple(
        (2 * size, _interval(mean, wide * common)) for size, mean in zip(sizes, means, strict=True)
    )
    if len(sizes) < FEWEST_SIZES or not freedom:
        return ReferencePower(attack, measured)
    independent = np.array([min(len(each), twins / size) for size, each in zip(sizes, z, strict=True)])
    weight = independent * np.array(sizes) / max(variance, 1e-12)
    line = _Line.fitted(1 / np.array(sizes, dtype=float), means, weight)

    def at(inverse: float) -> Interval:
        value, error = line.at(inverse)
        return _interval(value, wide * float(np.hypot(error, common)))

    expected = tuple((2 * twins * factor, at(1 / (twins * factor))) for factor in _FACTORS)
    return ReferencePower(attack, measured, expected, at(0.0))


@dataclass(frozen=True)
class _Line:
    """A weighted straight line that does not rise, with the covariance of its two coefficients."""

    coefficients: Float[np.ndarray, " 2"]
    covariance: Float[np.ndarray, "2 2"]

    @classmethod
    def fitted(
        cls, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
    ) -> _Line:
        design = np.column_stack([np.ones_like(x), x])
        covariance = np.linalg.inv((design * weight[:, None]).T @ design)
        found = covariance @ (design.T @ (weight * y))
        if found[1] > 0:
            # More references never help less: where the line would say so, it is level.
            found = np.array([np.average(y, weights=weight), 0.0])
        rest = float((weight * (y - design @ found) ** 2).sum()) / max(len(x) - 2, 1)
        return cls(found, covariance * max(1.0, rest))

    def at(self, x: float) -> tuple[float, float]:
        row = np.array([1.0, x])
        return float(row @ self.coefficients), float(np.sqrt(row @ self.covariance @ row))


def _sizes(twins: int) -> list[int]:
    """Return 1, 2, 4, ... and all."""
    sizes = [2**k for k in range(twins.bit_length()) if 2**k < twins]
    return [*sizes, twins]


def _subsets(
    auc_with: Callable[[Int[np.ndarray, " twins"]], float],
    twins: int,
    size: int,
    rng: np.random.Generator,
    repeats: int,
) -> Float[np.ndarray, " subsets"]:
    if size == twins:
        return np.array([auc_with(np.arange(twins))])
    # Disjoint subsets first: they say most.
    chosen: list[Int[np.ndarray, " size"]] = []
    while len(chosen) < repeats:
        order = rng.permutation(twins)
        chosen += [np.sort(order[k : k + size]) for k in range(0, twins - size + 1, size)]
    return np.array([auc_with(subset) for subset in chosen[:repeats]])


def _finite(size: int, twins: int) -> float:
    """Return the factor by which subsets that share references vary too little."""
    return 1 / (1 - size / twins) if size < twins else 1.0


def _interval(z: float, half: float) -> Interval:
    value, low, high = (float(ndtr(x / np.sqrt(2))) for x in (z, z - half, z + half))
    return Interval(value, low, high)
