"""Models in the target's place, each compared with its references: the target itself, or the references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.references.moments import Moments
from memberscan.attacks.with_references import Compared

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_FEW_LEVELS = 3
"""A quadratic of so few different labels is any function of them."""
LEAST = 1e-12
"""Spreads below this share of the usual one count as zero."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Residuals of some models, and of the references that each of them is compared with.

    Parameters
    ----------
    residual
        Residuals of each model: see :meth:`.TargetVariable.residual`.
    references
        The same of each reference.
    inside
        Whether each reference was trained on each scan.
    used
        1 where a model is compared with a reference, otherwise 0.
    label
        The true value of the target, or the position of the class.
    also
        The same of other measurements than the residual.
    classes
        Whether the target is a class, so that residuals are deviance residuals.
    """

    residual: Float[np.ndarray, "models scans"]
    references: Float[np.ndarray, "references scans"]
    inside: Bool[np.ndarray, "references scans"]
    used: Float[np.ndarray, "models references"]
    label: Float[np.ndarray, " scans"]
    also: tuple[Trials, ...] = ()
    classes: bool = False

    @classmethod
    def of_target(cls, compared: Compared) -> Trials:
        """Return the one trial that matters: the target, compared with all references."""
        also = tuple(cls.of_target(each) for each in compared.also)
        return cls._of(compared, compared.residual[None], np.ones((1, len(compared.references))), also)

    @classmethod
    def of_references(cls, compared: Compared) -> Trials:
        """Return one trial for each reference, compared with the others without its twin.

        With its twin, the number of references that saw a person would tell whether this one did.
        """
        pair = np.arange(len(compared.references)) // 2
        also = tuple(cls.of_references(each) for each in compared.also)
        return cls._of(compared, compared.references, (pair[:, None] != pair).astype(float), also)

    @classmethod
    def of_target_without_pairs(cls, compared: Compared, *, most: int) -> Trials:
        """Return several trials of the target, each without one pair of references.

        So it is compared with as many references as each of them is when it plays the target.
        """
        pair = np.arange(len(compared.references)) // 2
        count = int(pair[-1]) + 1
        left_out = np.unique(np.linspace(0, count - 1, min(count, most)).round())
        used = (left_out[:, None] != pair).astype(float)
        target = np.repeat(compared.residual[None], len(left_out), axis=0)
        also = tuple(cls.of_target_without_pairs(each, most=most) for each in compared.also)
        return cls._of(compared, target, used, also)

    @classmethod
    def _of(
        cls,
        compared: Compared,
        models: Float[np.ndarray, "models scans"],
        used: Float[np.ndarray, "models references"],
        also: tuple[Trials, ...] = (),
    ) -> Trials:
        return cls(models, compared.references, compared.inside, used, compared.label, also, compared.classes)

    def of(self, statistic: Callable[[np.ndarray], np.ndarray]) -> Trials:
        """Return the same trials of a function of the residuals."""
        return replace(self, residual=statistic(self.residual), references=statistic(self.references))

    @cached_property
    def centred(self) -> Trials:
        """Each model's residuals without their mean, and divided by their standard deviation."""
        return self.of(self._rest(np.ones((len(self.label), 1))))

    @cached_property
    def detrended(self) -> Trials:
        """Each model's residuals without a trend with the label, and divided by the rest's deviation.

        Models of one recipe differ in offset, in how far they regress to the mean label, and in scale,
        whoever they are trained on. That variation would hide the effect of one subject. The fit is over all
        scans and needs no membership.
        """
        return self.of(self._rest(trend(self.label, classes=self.classes)))

    def _rest(self, columns: Float[np.ndarray, "scans some"]) -> Callable[[np.ndarray], np.ndarray]:
        basis, _ = np.linalg.qr(columns)

        def rest(residual: np.ndarray) -> np.ndarray:
            left = residual - (residual @ basis) @ basis.T
            spread = left.std(axis=1, keepdims=True)
            # A model that predicts the same for everybody has nothing left but rounding errors.
            usual = np.sqrt(np.mean(residual**2, axis=1, keepdims=True))
            return np.where(spread > LEAST * usual, left / np.where(spread > 0, spread, 1), 0.0)

        return rest

    @cached_property
    def moments(self) -> Moments:
        """Means and variances over the references that were, and were not, trained on each scan."""
        return Moments.of(self.references, self.inside, self.used)


def thinned(compared: Compared, scans: int) -> Compared:
    """Return at most that many scans, evenly spaced in the label, for choices that do not need all of them.

    They are in the order of labels whatever the order they were given in, so that results do not depend on
    it.
    """
    step = -(-len(compared.label) // scans)
    return compared.take(np.lexsort((compared.residual, compared.label))[::step])


def trend(label: Float[np.ndarray, " scans"], *, classes: bool) -> Float[np.ndarray, "scans columns"]:
    """Return columns of which any quadratic in the label is a sum; of classes, a column for each of them."""
    levels = np.unique(label)
    if classes or len(levels) <= _FEW_LEVELS:
        return np.asarray(label[:, None] == levels, dtype=float)
    scaled = standardised(label)
    return np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1)


def standardised(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return values with mean 0 and standard deviation 1, or zeros if they are all equal."""
    left = values - values.mean()
    spread = float(left.std())
    return np.asarray(left / spread if spread > LEAST * np.abs(values).max() else np.zeros_like(left))
