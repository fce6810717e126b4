"""The tails of a mean over draws, if a fitted rule chooses among few directions: they are not normal.

Draws that disagree cancel, so that without a leak the mean cannot fall far, but it can rise. The fewer
directions, the shorter is the lower tail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import ndtri

from memberscan.evidence.cross_fitting import DrawDesign
from memberscan.evidence.intervals import LEVEL
from memberscan.evidence.scores import MANY_DIRECTIONS

if TYPE_CHECKING:
    from jaxtyping import Float

_SAMPLES = 4096
_STABILITIES = np.linspace(0.0, 0.9, 10)
_TAILS = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])


@dataclass(frozen=True, eq=False)
class FewDirections:
    """The law of the mean over draws in the model of :class:`~memberscan.evidence.cross_fitting.DrawDesign`.

    Parameters
    ----------
    design
        Who is scored and who is fitted on in each draw.
    directions
        Among how many directions of equal weight a fit chooses, rounded up.
    """

    design: DrawDesign
    directions: int

    @classmethod
    def of_each(cls, design: DrawDesign, directions: Iterable[float]) -> list[Self]:
        """Return the laws of several attacks; those with as many directions share one, and its samples."""
        counts = [max(1, math.ceil(min(each, MANY_DIRECTIONS + 1))) for each in directions]
        laws = {count: cls(design, count) for count in counts}
        return [laws[count] for count in counts]

    @property
    def longest_error(self) -> float:
        """Most that a fit's error can be, squared, over the variance of a mean over everybody scored once.

        Infinite if there are many directions.
        """
        return np.inf if self.directions > MANY_DIRECTIONS else self.directions * self.design.one_direction

    def tails(self, stability: Float[np.ndarray, " fits"]) -> Float[np.ndarray, "2 fits"]:
        """Return how far the 2.5% and 97.5% quantiles lie from the mean, in standard errors, both positive.

        A standard error is the root of ``design.of_means``, which holds for many directions.

        Parameters
        ----------
        stability
            Share of the truth in fits, from 0 to 1.
        """
        places = np.append(_STABILITIES, 1.0)
        return np.stack([np.interp(stability, places, tail) for tail in self._tails])

    @cached_property
    def _tails(self) -> Float[np.ndarray, "2 stabilities"]:
        normal = ndtri(_TAILS)[:, None]
        if self.directions > MANY_DIRECTIONS:
            return np.asarray(np.abs(np.repeat(normal, len(_STABILITIES) + 1, axis=1)))
        quantiles = [np.quantile(self._deviations(float(s)), _TAILS) for s in _STABILITIES]
        return np.asarray(np.abs(np.hstack([np.transpose(quantiles), normal])))

    def _deviations(self, stability: float) -> Float[np.ndarray, " samples"]:
        """Return samples of the mean over draws, less their mean, in standard errors."""
        fitted, scored, products, lengths = self._errors
        # The truth lies along the first direction; a fit's error has the same variance in each.
        variances = np.diagonal(self.design.covariance).reshape(2, -1).mean(axis=1)
        truth = np.sqrt(stability / (1 - stability) * self.directions * variances[0])
        of_draws = products + truth * (fitted + scored) + truth**2
        of_draws = of_draws / np.sqrt(lengths + 2 * truth * fitted + truth**2)
        means = of_draws.mean(axis=1)
        return np.asarray((means - means.mean()) / np.sqrt(self.design.of_means(stability) * variances[1]))

    @cached_property
    def _errors(self) -> tuple[Float[np.ndarray, "samples draws"], ...]:
        """Errors of those fitted on and of those scored, along the first direction; a . b; and a . a."""
        values, vectors = np.linalg.eigh(self.design.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        errors = np.random.default_rng(0).standard_normal((self.directions, _SAMPLES, len(root))) @ root.T
        a, b = np.split(errors, 2, axis=2)
        return a[0], b[0], (a * b).sum(axis=0), (a * a).sum(axis=0)
