"""How well one number tells two normal laws apart, by their likelihood ratio, for many people at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, owens_t

if TYPE_CHECKING:
    from jaxtyping import Float

_ALMOST_EQUAL = 1e-6
"""Relative difference of variances below which they count as this different: see ``_centre``."""
_HALVINGS = 48


@dataclass(frozen=True, eq=False)
class TwoNormals:
    """The laws of one number under two hypotheses, for each person.

    Parameters
    ----------
    mean_in, variance_in
        Where the person was trained on.
    mean_out, variance_out
        Where it was not; all variances above zero.

    Notes
    -----
    With unequal variances the likelihood ratio is a quadratic in the number: it is monotone in the distance
    from a centre c = (mean_in / variance_in - mean_out / variance_out) / (1 / variance_in - 1 /
    variance_out), falling where the law "in" is the narrower one. All results follow from distances to c.
    With equal variances c is infinitely far away, and they tend to those of the difference of means.
    """

    mean_in: Float[np.ndarray, " people"]
    variance_in: Float[np.ndarray, " people"]
    mean_out: Float[np.ndarray, " people"]
    variance_out: Float[np.ndarray, " people"]

    @property
    def auc(self) -> Float[np.ndarray, " people"]:
        """Chance that the likelihood ratio of a number "in" exceeds that of one "out"."""
        centre, gap = self._centre()
        # |a - c| < |b - c| where (a - b)(a + b - 2c) < 0: the chance that two correlated normals differ in
        # sign, which Owen's T gives in closed form.
        deviation = np.sqrt(self.variance_in + self.variance_out)
        h = -(self.mean_in - self.mean_out) / deviation
        k = -(self.mean_in + self.mean_out - 2 * centre) / deviation
        nearer = _differ_in_sign(h, k, -gap / (2 - gap), 2 * np.sqrt(1 - gap) / (2 - gap))
        return np.asarray(np.where(gap > 0, nearer, 1 - nearer))

    def true_positive_rate(self, rate: float) -> Float[np.ndarray, " people"]:
        """Return the power of the likelihood ratio test whose false-positive rate is ``rate``."""
        centre, gap = self._centre()
        wanted = np.where(gap > 0, rate, 1 - rate)
        # The radius around c within which a share `wanted` of the law "out" lies, by bisection.
        low = np.zeros_like(centre)
        high = np.abs(self.mean_out - centre) + 10 * np.sqrt(self.variance_out)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            short = _within(middle, centre, self.mean_out, self.variance_out) < wanted
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        found = _within((low + high) / 2, centre, self.mean_in, self.variance_out * (1 - gap))
        return np.asarray(np.where(gap > 0, found, 1 - found))

    @property
    def total_variation(self) -> Float[np.ndarray, " people"]:
        """Greatest difference of the chances that the two laws give one event."""
        centre, gap = self._centre()
        # The densities are equal at two points around c, between which the narrower law has more.
        apart = (self.mean_in - self.mean_out) ** 2 / (self.variance_out * gap) - np.log1p(-gap)
        radius = np.sqrt(self.variance_out * (1 - gap) * apart / gap)
        inside = _within(radius, centre, self.mean_in, self.variance_out * (1 - gap))
        return np.asarray(np.abs(inside - _within(radius, centre, self.mean_out, self.variance_out)))

    def moved(self, shift: Float[np.ndarray, " people"], ratio: Float[np.ndarray, " people"]) -> TwoNormals:
        """Return the same with other laws "in": means moved by ``shift``, variances times exp(``ratio``)."""
        return TwoNormals(
            self.mean_in + shift, self.variance_in * np.exp(ratio), self.mean_out, self.variance_out
        )

    def log_ratio(self, values: Float[np.ndarray, "rows people"]) -> Float[np.ndarray, "rows people"]:
        """Return the log-likelihood ratio of observed numbers, greater where "in" is more likely."""
        inside = (values - self.mean_in) ** 2 / self.variance_in + np.log(self.variance_in)
        outside = (values - self.mean_out) ** 2 / self.variance_out + np.log(self.variance_out)
        return np.asarray((outside - inside) / 2)

    def _centre(self) -> tuple[Float[np.ndarray, " people"], Float[np.ndarray, " people"]]:
        """Return c, and by what share the variance "in" is below that "out"; never quite zero."""
        gap = 1 - self.variance_in / self.variance_out
        # Away from equal variances, where c would be infinite; the results are smooth there.
        gap = np.where(gap >= 0, np.maximum(gap, _ALMOST_EQUAL), np.minimum(gap, -_ALMOST_EQUAL))
        return self.mean_out + (self.mean_in - self.mean_out) / gap, gap


def _within(
    radius: Float[np.ndarray, " people"],
    centre: Float[np.ndarray, " people"],
    mean: Float[np.ndarray, " people"],
    variance: Float[np.ndarray, " people"],
) -> Float[np.ndarray, " people"]:
    """Return the chance of a normal number within a radius around c."""
    deviation = np.sqrt(variance)
    low, high = (centre - mean - radius) / deviation, (centre - mean + radius) / deviation
    # In the upper tail the difference is taken of the small chances, which keep their digits.
    upper = low > 0
    return np.asarray(np.where(upper, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low)))


def _differ_in_sign(
    h: Float[np.ndarray, " people"],
    k: Float[np.ndarray, " people"],
    r: Float[np.ndarray, " people"],
    root: Float[np.ndarray, " people"],
) -> Float[np.ndarray, " people"]:
    """Return the chance that two standard normals of correlation r lie one below h or k, the other above.

    ``root`` is the square root of 1 - r^2, which keeps its digits where r is close to 1.

    Source: Owen, Ann. Math. Stat. 27, 1956: P(X < h, Y < k) in terms of T.
    """
    tiny = 1e-12
    h, k = (np.where(np.abs(x) < tiny, tiny, x) for x in (h, k))
    part = owens_t(h, (k - r * h) / (h * root)) + owens_t(k, (h - r * k) / (k * root))
    return np.asarray(2 * part + (h * k < 0))
