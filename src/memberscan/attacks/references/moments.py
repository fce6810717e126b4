"""Means and variances of reference models' residuals, by scan, and the laws that are fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

TINY = 1e-30
PRIOR_WEIGHT = 4.0
"""How many observations the pooled variance counts for, beside a scan's own variance."""


@dataclass(frozen=True, eq=False)
class Side:
    """Moments over the references that were trained on a scan, or over those that were not.

    Parameters
    ----------
    count
        Number of references.
    mean
        Mean; where there is no such reference, that over all scans.
    squares
        Sum of squared deviations from the mean.
    pooled
        Variance pooled over all scans: squared deviations from each scan's own mean, by degrees of freedom.
        Without centring it would hold the differences between scans too.
    """

    count: Float[np.ndarray, "models scans"]
    mean: Float[np.ndarray, "models scans"]
    squares: Float[np.ndarray, "models scans"]
    pooled: Float[np.ndarray, "models 1"]

    @property
    def own_variance(self) -> Float[np.ndarray, "models scans"]:
        """Each scan's mean squared deviation, as other tools compute it; the pooled one of a single value."""
        return np.where(self.count > 1, self.squares / np.maximum(self.count, 1), self.pooled)

    @property
    def same_variance(self) -> Float[np.ndarray, "models 1"]:
        """The mean squared deviation over all scans, as other tools compute it."""
        total = self.squares.sum(axis=1, keepdims=True)
        mean = total / np.maximum(self.count.sum(axis=1, keepdims=True), 1)
        return np.where(mean > 0, mean, self.pooled)

    @property
    def shrunk_variance(self) -> Float[np.ndarray, "models scans"]:
        """Each scan's own variance shrunk to the pooled one, by degrees of freedom."""
        freedom = PRIOR_WEIGHT + np.maximum(self.count - 1, 0)
        return np.asarray((PRIOR_WEIGHT * self.pooled + self.squares) / freedom)

    def log_density(self, at: Float[np.ndarray, "models scans"]) -> Float[np.ndarray, "models scans"]:
        """Return the predictive log density of a new value under a normal-inverse-gamma prior.

        A Student t. The factor 1 + 1/count is for the mean, which is estimated as well.
        """
        freedom = PRIOR_WEIGHT + np.maximum(self.count - 1, 0)
        square_scale = self.shrunk_variance * (1 + 1 / np.maximum(self.count, 1))
        return student_t(at - self.mean, square_scale, freedom)


@dataclass(frozen=True, eq=False)
class Moments:
    """Both sides of each scan, for each model that is compared with references."""

    ins: Side
    outs: Side

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, "references scans"],
        inside: Bool[np.ndarray, "references scans"],
        used: Float[np.ndarray, "models references"],
    ) -> Moments:
        """Compute the moments over the references that each model uses, with three matrix products a side."""
        # Sums of squares lose digits unless values are near zero first.
        centre = values.mean(axis=0)
        left = values - centre
        sides = []
        for mask in (inside.astype(float), (~inside).astype(float)):
            count = used @ mask
            total = used @ (mask * left)
            mean = total / np.maximum(count, 1)
            squares = np.maximum(used @ (mask * left**2) - total * mean, 0)
            sides.append((count, mean, squares))
        spreads = _pooled(sides)
        ins, outs = (
            Side(count, centre + mean, squares, pooled)
            for (count, mean, squares), pooled in zip(sides, spreads, strict=True)
        )
        return cls(ins, outs)


def _pooled(sides: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Return both sides' pooled variances; with one reference a side, half of their differences' variance."""
    (count_in, mean_in, _), (count_out, mean_out, _) = sides
    both = (count_in > 0) & (count_out > 0)
    gap = np.where(both, mean_in - mean_out, 0.0)
    mean = gap.sum(axis=1, keepdims=True) / np.maximum(both.sum(axis=1, keepdims=True), 1)
    between = (both * (gap - mean) ** 2).sum(axis=1, keepdims=True)
    fallback = between / np.maximum(both.sum(axis=1, keepdims=True), 1) / 2
    found = []
    for count, _, squares in sides:
        freedom = np.maximum(count - 1, 0).sum(axis=1, keepdims=True)
        pooled = squares.sum(axis=1, keepdims=True) / np.maximum(freedom, 1)
        found.append(np.maximum(np.where(freedom > 0, pooled, fallback), TINY))
    return found


def student_t(
    deviation: Float[np.ndarray, "*shape"],
    square_scale: Float[np.ndarray, "*shape"],
    freedom: Float[np.ndarray, "*shape"],
) -> Float[np.ndarray, "*shape"]:
    """Return the log density of a Student t, up to the constant log(pi) / 2."""
    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom)
    kernel = 0.5 * (freedom + 1) * np.log1p(deviation**2 / (freedom * square_scale))
    return np.asarray(constant - 0.5 * np.log(square_scale) - kernel)


def normal(
    deviation: Float[np.ndarray, "*shape"], variance: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Return the log density of a Gaussian, up to the constant log(2 pi) / 2."""
    return np.asarray(-0.5 * np.log(variance) - 0.5 * deviation**2 / variance)
