"""Refuse targets that do not predict what they should: residuals would give a false answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import NotARegressorError
from memberscan.target_variable import TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Float

_FAR_OFF = 3.0
_OF_THE_MEDIAN = 0.5
"""Predictions whose median differs from the median age by more than this factor are not in years."""
_FEW, _CODES = 5, 10
"""So few different whole numbers below this are codes of classes, and no ages."""


_IMAGES = (
    "the images are probably not those that the model was trained on, or not prepared as they were: compare "
    "with your own predictions (memberscan import --predictions). If they are, "
)


def require_plausible(
    variable: TargetVariable,
    labels: Float[np.ndarray, " n"],
    predictions: Float[np.ndarray, " n"],
    *,
    images_unproven: bool = False,
) -> None:
    """Refuse predictions that are not of the target variable.

    Parameters
    ----------
    variable
        What the model should predict; whether classes are probabilities is checked where they are read.
    labels, predictions
        Of each scan.
    images_unproven
        Whether the model may get other images than it was trained on.

    Raises
    ------
    NotARegressorError
        If labels are those of classes, predictions look like probabilities, or they are so far from the
        labels that they must be in another unit: an error three times that of always predicting the median,
        and, for ages, a median less than half or more than twice the median age.
    """
    if variable.classes:
        return
    _require_number(variable, labels)
    name, unit = variable.name, variable.unit
    if predictions.min() >= 0 and predictions.max() <= 1 < labels.min():
        raise NotARegressorError(
            f"the predictions lie between 0 and 1 while {name} goes from {labels.min():.0f} to "
            f"{labels.max():.0f} {unit}, like the probabilities of a classifier; give predictions in {unit}"
        )
    error = float(np.abs(labels - predictions).mean())
    baseline = variable.error_of_constant(labels)
    # Another unit changes the median of the predictions by a factor; a bad model, or a narrow range of ages,
    # does not: a constant shift in years among children of one age is not another unit.
    median = float(np.median(labels))
    low, high = _OF_THE_MEDIAN * median, median / _OF_THE_MEDIAN
    if error > _FAR_OFF * baseline and not low <= float(np.median(predictions)) <= high:
        raise NotARegressorError(
            f"the mean absolute error is {error:.1f} {unit}, where always answering the median {name} would "
            f"give {baseline:.1f}; {_IMAGES if images_unproven else ''}the predictions are probably in "
            f"another unit or standardised: give them in {unit}"
        )


def _require_number(variable: TargetVariable, labels: Float[np.ndarray, " n"]) -> None:
    """Refuse labels that are those of classes."""
    distinct = np.unique(labels)
    codes = len(distinct) <= _FEW and distinct.min() >= 0 and distinct.max() < _CODES
    if len(distinct) <= 2 or (variable.is_age and codes and (distinct % 1 == 0).all()):
        what = "ages have" if variable.is_age else f"values of {variable.name!r} have"
        raise NotARegressorError(
            f"the {what} only {len(distinct)} distinct values, like class labels; if they are classes, name "
            "the column without a unit (--target COLUMN), and give the probability of each class"
        )
