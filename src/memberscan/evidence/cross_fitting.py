"""The variance of a mean over draws, where the same people are fitted on in some draws and scored in others.

It differs from the variance of one draw for two reasons. A person is scored in several draws, but counts as
one person. And people scored in one draw are fitted on in another, so the results of draws are correlated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import special, stats

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True, eq=False)
class DrawDesign:
    """Who is scored and who is fitted on in each draw, and what follows from that alone for any scores.

    Parameters
    ----------
    weights
        Weight of each person in the result of a draw, within its side; 0 for people who are not scored.
    known
        The people that the attack was fitted on.

    noise
        Variance of a person's place by chance of who else was scored, over its variance between people.

    Notes
    -----
    All follows from a model of a linear rule. With m the truth, a the error of the people that a rule was
    fitted on, and b that of those it scores, the result of a draw is ``(m + a) . (m + b) / |m + a|``. The
    share s of the truth in the squared length of m + a is the stability of fits: 1 where every fit gives the
    same rule, 0 where a fit tells nothing of the truth, as where there is no leak.

    Linear in the errors, the result is sqrt(s) times b + (1 - s) a along the truth: those who were fitted on
    move the result by themselves, unless fits are stable. Of second order it is a . b - s a . a / 2, a
    quadratic form over pairs of people. Complementary halves put each pair that they divide to use twice, in
    one sense and the other, so that cross-fitting once is no better than one half where s = 0.
    """

    weights: Float[np.ndarray, "draws people"]
    known: Float[np.ndarray, "draws people"]
    noise: float = 0.0

    @classmethod
    def of(
        cls,
        weights: Float[np.ndarray, "draws people"],
        known: Bool[np.ndarray, "draws people"],
        noise: float = 0.0,
    ) -> Self:
        """Return the design in which known people have equal weights, and are as many on either side."""
        return cls(weights, 2 * known / np.maximum(known.sum(axis=1, keepdims=True), 1), noise)

    @cached_property
    def covariance(self) -> Float[np.ndarray, "errors errors"]:
        """Of the errors in one direction: first of those fitted on in each draw, then of those scored."""
        return np.block([[self._shared, self._across], [self._across.T, self._scored]])

    @cached_property
    def stable(self) -> float:
        """Variance of the mean over draws, over that of a draw, if every fit gives the same rule."""
        return _mean_over_diagonal(self._scored)

    @cached_property
    def unstable(self) -> float:
        """The same, if a fit tells nothing of the truth."""
        return float(self.of_means(0.0))

    def of_means(
        self, stability: Float[np.ndarray, " *shape"] | float
    ) -> Float[np.ndarray, " *shape"] | float:
        """Return the variance of the mean over draws, over that of a draw.

        Parameters
        ----------
        stability
            Share of the truth in a fitted rule, from 0 to 1; one or several.
        """
        shared, scored, across = self._shared, self._scored, self._across
        size = float(np.diag(shared).mean())
        rest = 1 - np.asarray(stability, dtype=float)
        if size == 0:
            return self.stable + 0 * rest
        linear = scored.mean() + 2 * rest * across.mean() + rest**2 * shared.mean()
        # Products of both directions of a pair: fitted on the first and scored the second, or the reverse.
        pairs = (shared * scored + across * across.T).mean()
        pairs = pairs - stability * ((across + across.T) * shared).mean()
        pairs = pairs + np.square(stability) / 2 * (shared**2).mean()
        total = stability * linear + rest * pairs / size
        return np.asarray(total / np.diag(scored).mean())

    def of_aucs(
        self, stability: Float[np.ndarray, " *shape"] | float, auc: float
    ) -> Float[np.ndarray, " *shape"]:
        """Return the variance of the mean AUC over draws, over that in which every fit gives the same rule.

        Who was fitted on moves the part of the AUC that is linear in the scores. The rest varies by who is
        scored, and two draws share it by the square of the correlation of their scores. At least 1.

        Parameters
        ----------
        stability
            As of :meth:`of_means`.
        auc
            Decides how much is linear, see :func:`linear_share`.
        """
        share, s = linear_share(auc), np.asarray(stability, dtype=float)
        # The mean of (s + (1 - s) g)^2 over pairs of draws, where g is how far their errors go together.
        powers = [float((self._same_errors**k * self._scored).mean()) for k in range(3)]
        squares = s**2 * powers[0] + 2 * s * (1 - s) * powers[1] + (1 - s) ** 2 * powers[2]
        rest = squares / np.diag(self._scored).mean()
        total = share * self.of_means(s) + (1 - share) * rest
        return np.asarray(np.maximum(1.0, total / self.stable))

    @cached_property
    def one_direction(self) -> float:
        """Variance of a fit's error in one direction, over that of a mean over everybody scored once."""
        scored = float(np.diag(self._scored).mean()) * self.stable
        return float(np.diag(self._shared).mean()) / scored if scored > 0 else 0.0

    def factor(self, stability: float) -> float:
        """Return the variance over that in which every fit gives the same rule; at least 1."""
        return max(1.0, float(self.of_means(stability)) / self.stable)

    def of_decisions(self, stability: float) -> float:
        """Return the same for the share of right decisions, each the sign of a score.

        A sign's covariance with anything linear is that of the score times sqrt(2 / pi), if both have unit
        variance. What signs have beyond that is shared by two draws as far as their scores go together: two
        signs correlate by 2 / pi arcsin of the correlation of the scores.
        """
        correlation = self._correlation(stability)
        beyond = 2 / np.pi * (np.arcsin(correlation) - correlation) * self._scored
        return float(2 / np.pi * self.of_means(stability) + beyond.mean() / np.diag(self._scored).mean())

    def stability(self, agreement: float, noise: float, auc: float = 0.5) -> float:
        """Return the share of the truth in fits, given how far a person's places in several draws agree.

        Parameters
        ----------
        agreement
            Variance of people's means over draws, over that if all draws had given them the same.
        noise, auc
            As of :meth:`agreement`.
        """
        expected = np.array([self.agreement(s, noise, auc) for s in _STABILITIES])
        if expected[-1] - expected[0] < 1e-9:
            return 1.0
        return float(np.interp(agreement, expected, _STABILITIES))

    def agreement(self, stability: float, noise: float, auc: float = 0.5) -> float:
        """Return the agreement that is expected of fits of this stability.

        Parameters
        ----------
        stability
            As of :meth:`of_means`.
        noise
            Variance of a person's place by chance of who else is scored, over its variance between people:
            places vary with who else is scored, too, even if all fits give the same rule.
        auc
            Decides how much of a place is linear in the score, see :func:`linear_share`: the rest goes
            together in two draws by the square of the correlation of their scores.
        """
        scored, share = self._scored, linear_share(auc)
        overlap = scored / np.maximum(np.diag(scored).mean(), 1e-300)
        correlation = self._correlation(stability)
        places = share * correlation + (1 - share) * correlation**2
        places = places * (1 + noise * overlap) / (1 + noise)
        np.fill_diagonal(places, 1.0)
        return float((places * scored).sum() / scored.sum())

    def _correlation(self, stability: float) -> Float[np.ndarray, "draws draws"]:
        """Return how far the scores of a person in two draws go together: as far as fits share people."""
        return np.asarray(np.clip(stability + (1 - stability) * self._same_errors, 0.0, 1.0))

    @cached_property
    def _same_errors(self) -> Float[np.ndarray, "draws draws"]:
        """How far the errors of two fits go together, if they have no truth in them."""
        size = np.sqrt(np.diag(self._shared))
        scale = np.outer(size, size)
        return np.asarray(np.divide(self._shared, scale, out=np.ones_like(scale), where=scale > 0))

    @cached_property
    def _scored(self) -> Float[np.ndarray, "draws draws"]:
        return np.asarray(self.weights @ self.weights.T)

    @cached_property
    def _shared(self) -> Float[np.ndarray, "draws draws"]:
        return np.asarray(self.known @ self.known.T)

    @cached_property
    def _across(self) -> Float[np.ndarray, "draws draws"]:
        return np.asarray(self.known @ self.weights.T)


def linear_share(auc: float) -> float:
    """Return how much of an AUC's variance is linear in the scores, over the same at an AUC of one half.

    For normal scores of equal spread on both sides. A member's place among non-members is Phi(x + delta),
    whose covariance with x is phi(h) / sqrt(2), h the normal quantile of the AUC; its mean square is a
    probability of two correlated normals, which is the AUC less twice Owen's T (Ann. Math. Stat. 27, 1956).
    The share is 3 / pi at one half, and 0.7 of that at an AUC of 0.9.
    """
    h = float(stats.norm.ppf(auc))
    variance = auc - 2 * float(special.owens_t(h, 1 / np.sqrt(3))) - auc**2
    linear = float(stats.norm.pdf(h)) ** 2 / 2
    return min(1.0, linear / variance * np.pi / 3) if variance > 0 else 0.0


_STABILITIES = np.linspace(0.0, 1.0, 21)


def _mean_over_diagonal(products: Float[np.ndarray, "draws draws"]) -> float:
    diagonal = float(np.diag(products).mean())
    return float(products.mean()) / diagonal if diagonal > 0 else 1.0


def variance_of_mean(
    influences: Float[np.ndarray, "draws people"],
    design: DrawDesign,
    sides: Sequence[Bool[np.ndarray, " people"]],
    noise: Float[np.ndarray, "draws people"] | None = None,
    auc: float = 0.5,
) -> tuple[float, float]:
    """Return the variance of a mean over draws if all fits gave the same rule, and the stability of fits.

    The variance of the mean is the first times ``design.factor`` of the second, which depends on how far the
    draws agree on people.

    Parameters
    ----------
    influences
        What each person adds to the statistic's deviation in each draw, 0 for people not scored: the sum
        of squares is the statistic's variance in that draw.
    design
        Who was scored and fitted on.
    sides
        The people of each side.
    noise
        How much of the square of each influence is expected from chance of who else was compared. ``None``
        if it is not known: as much as by chance alone, and none of it is taken off the variance.
    auc
        As of :meth:`DrawDesign.agreement`.

    Notes
    -----
    DeLong's variance of one draw counts the noise of both sides. In truth there is at most half of it, which
    is what pairs add beyond their two people. The mean over draws has less, since draws compare different
    pairs.

    The variance of people's means over draws alone, as for cross-validated AUCs (LeDell, Petersen and van der
    Laan, Electronic Journal of Statistics 9, 2015), holds where folds are so large that rules hardly differ.
    Here it is far too small: for five times two halves, half of that of the unstable case.
    """
    base, by_noise, of_pairs = 0.0, 0.0, np.ones((len(influences), len(influences)))
    for side in sides:
        together = design.weights[:, side] @ design.weights[:, side].T
        of_pairs *= together
        shared = _mean_over_diagonal(together)
        of_a_draw = float((influences[:, side] ** 2).sum(axis=1).mean())
        base += shared * of_a_draw
        if noise is not None:
            by_noise += shared * min(float(noise[:, side].sum(axis=1).mean()), of_a_draw)
    if base == 0:
        return 0.0, 1.0
    of_people = base - by_noise
    ratio = design.noise if noise is None else by_noise / max(of_people, 1e-3 * base)
    of_means = float((influences.mean(axis=0) ** 2).sum())
    stability = design.stability(of_means / base, ratio, auc)
    return of_people + by_noise / 2 * _mean_over_diagonal(of_pairs) / design.stable, stability
