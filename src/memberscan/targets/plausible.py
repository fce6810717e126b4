"""Refuse targets that do not predict age: an audit of their residuals would give a false answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import NotARegressorError

if TYPE_CHECKING:
    from jaxtyping import Float

_FAR_OFF = 3.0
_OF_THE_MEDIAN = 0.5
"""Predictions whose median differs from the median age by more than this factor are not in years."""


_IMAGES = (
    "the images are probably not those that the model was trained on, or not prepared as they were: compare "
    "with your own predictions (memberscan import --predictions). If they are, "
)


def require_years(
    ages: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"], *, images_unproven: bool = False
) -> None:
    """Refuse predictions that are not ages in years.

    Parameters
    ----------
    ages, predictions
        Of each scan.
    images_unproven
        Whether the model may get other images than it was trained on.

    Raises
    ------
    NotARegressorError
        If ages are class labels, predictions look like probabilities, or they are so far from the ages that
        they must be in another unit: an error three times that of always predicting the median age, with a
        median less than half or more than twice the median age.
    """
    if (distinct := len(np.unique(ages))) <= 2:
        raise NotARegressorError(
            f"the ages have only {distinct} distinct values, like class labels; memberscan audits models "
            "that predict age, and would report chance for a classifier: audit it with a tool for classifiers"
        )
    if predictions.min() >= 0 and predictions.max() <= 1 < ages.min():
        raise NotARegressorError(
            f"the predictions lie between 0 and 1 while ages go from {ages.min():.0f} to {ages.max():.0f} "
            "years, like the probabilities of a classifier; give predictions in years"
        )
    error = float(np.abs(ages - predictions).mean())
    baseline = float(np.abs(ages - np.median(ages)).mean())
    # Another unit changes the median of the predictions by a factor; a bad model, or a narrow range of ages,
    # does not: a constant shift in years among children of one age is not another unit.
    low, high = _OF_THE_MEDIAN * float(np.median(ages)), float(np.median(ages)) / _OF_THE_MEDIAN
    if error > _FAR_OFF * baseline and not low <= float(np.median(predictions)) <= high:
        raise NotARegressorError(
            f"the mean absolute error is {error:.1f} years, where always answering the median age would "
            f"give {baseline:.1f}; {_IMAGES if images_unproven else ''}the predictions are probably in "
            "another unit or standardised: give them in years"
        )
