"""Do predictions of the two sides differ in a way that training on the members cannot explain?

Training brings the predictions of members closer to their labels. It makes their errors smaller, their mean
error closer to zero, and the slope of their predictions over label closer to one. Predictions that were made
in another way on each side, such as in training mode for members, may differ in the opposite direction, or
in level by more than a generalisation gap does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from memberscan.evidence.multiple import holm

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Difference = Literal["level", "slope", "spread", "shift"]
SIGNIFICANCE = 0.01
LARGEST_SHIFT = 0.5
"""Difference in level that training on members may make, in standard deviations of non-members' residuals."""


@dataclass(frozen=True)
class PredictionScale:
    """How the predictions of members and of non-members differ, beyond what training on members explains.

    Parameters
    ----------
    differences
        ``level``: the mean error of members at the mean label is farther from zero. ``slope``: the slope of
        their predictions over label is farther from one. ``spread``: they vary more around that line.
        ``shift``: the levels differ by more than half a standard deviation, in either direction.
    p_value
        The smallest of the four one-sided p-values, corrected by Holm's method. It is not the p-value of a
        leak: a leak makes it larger.
    """

    differences: tuple[Difference, ...]
    p_value: float

    @property
    def unlike(self) -> bool:
        """Whether the two sides' predictions were probably made in different ways."""
        return bool(self.differences)


@dataclass(frozen=True)
class _Line:
    """One side's residuals over centred label: value at the centre, slope, and mean absolute deviation.

    ``errors`` are the standard errors of these three.
    """

    values: Float[np.ndarray, " 3"]
    errors: Float[np.ndarray, " 3"]
    deviation: float


def compare_predictions(
    label: Float[np.ndarray, " people"],
    residual: Float[np.ndarray, " people"],
    member: Bool[np.ndarray, " people"],
) -> PredictionScale:
    """Test whether members' predictions are less like their labels than non-members'.

    Parameters
    ----------
    label
        Of each person.
    residual
        Prediction minus label.
    member
        Who was trained on.
    """
    centred = label - label.mean()
    inside, outside = (_line(centred[side], residual[side]) for side in (member, ~member))
    errors = np.hypot(inside.errors, outside.errors)
    # Level and slope of residuals are zero where predictions equal labels. An overfitted model has both
    # closer to zero in members, so only the opposite direction counts.
    excess = np.abs(inside.values) - np.abs(outside.values)
    shift = abs(inside.values[0] - outside.values[0]) - LARGEST_SHIFT * outside.deviation
    statistics = _ratio(np.append(excess, shift), np.append(errors, errors[0]))
    freedom = min(int(member.sum()), int((~member).sum())) - 2
    corrected = holm(stats.t.sf(statistics, freedom))
    names: tuple[Difference, ...] = ("level", "slope", "spread", "shift")
    found = tuple(name for name, p in zip(names, corrected, strict=True) if p < SIGNIFICANCE)
    return PredictionScale(found, float(corrected.min()))


def _line(centred: Float[np.ndarray, " side"], residual: Float[np.ndarray, " side"]) -> _Line:
    """Fit residuals over label by least squares; errors hold where the spread changes with the label."""
    x = np.column_stack([np.ones(len(centred)), centred])
    inverse = np.linalg.pinv(x.T @ x)
    fitted = inverse @ x.T @ residual
    rest = residual - x @ fitted
    # HC3 (MacKinnon and White, 1985): each residual is divided by one minus its leverage, since each person
    # pulls the line towards itself.
    leverage = np.minimum(np.einsum("ij,jk,ik->i", x, inverse, x), 0.99)
    meat = x * (rest / (1 - leverage))[:, None]
    covariance = inverse @ (meat.T @ meat) @ inverse
    # Absolute deviations from the median (Brown and Forsythe, 1974) resist outliers better than squares.
    absolute = np.abs(rest - np.median(rest))
    spread, its_error = absolute.mean(), absolute.std(ddof=1) / np.sqrt(len(absolute))
    errors = np.append(np.sqrt(np.diag(covariance)), its_error)
    return _Line(np.append(fitted, spread), errors, float(rest.std(ddof=2)))


def _ratio(values: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    infinite = np.where(values > 0, np.inf, -np.inf)
    return np.asarray(np.divide(values, errors, out=infinite, where=errors > 1e-12))
