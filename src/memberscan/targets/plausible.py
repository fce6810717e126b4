"""Refuse targets that are no regressors of age: an audit of their residuals would give a false answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import NotARegressorError

if TYPE_CHECKING:
    from jaxtyping import Float

_FAR_OFF = 3.0
_OF_THE_MEDIAN = 0.5
"""Predictions whose median is further from the median age than by this factor are not in years."""


def require_years(ages: Float[np.ndarray, " n"], predictions: Float[np.ndarray, " n"]) -> None:
    """Refuse predictions that are not ages in years.

    Raises
    ------
    NotARegressorError
        If ages are class labels, predictions look like probabilities, or they are so far off that they must
        be in another unit: three times as far as the median age would be, with a median less than half
        or more than twice the median age.
    """
    if len(np.unique(ages)) <= 2:
        raise NotARegressorError(
            f"the ages take {len(np.unique(ages))} values only, as class labels do; memberscan audits "
            "regressors of age, and would report chance for a classifier: audit it with a tool for those"
        )
    if predictions.min() >= 0 and predictions.max() <= 1 < ages.min():
        raise NotARegressorError(
            f"the predictions lie between 0 and 1 while ages go from {ages.min():.0f} to {ages.max():.0f} "
            "years, as a classifier's probabilities do; give predictions in years"
        )
    error = float(np.abs(ages - predictions).mean())
    baseline = float(np.abs(ages - np.median(ages)).mean())
    # Another unit moves the middle of the predictions by a factor; a model that is only bad, or ages of a
    # narrow range, do not: a constant shift of years among children of one age is no other unit.
    low, high = _OF_THE_MEDIAN * float(np.median(ages)), float(np.median(ages)) / _OF_THE_MEDIAN
    if error > _FAR_OFF * baseline and not low <= float(np.median(predictions)) <= high:
        raise NotARegressorError(
            f"the mean absolute error is {error:.1f} years, where always answering the median age would "
            f"give {baseline:.1f}; the predictions are probably in another unit or "
            "standardised: give them in years"
        )
