"""Moments of public constants, which scale a model without telling anything of the people trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from memberscan.errors import BadInputError, ModelError

if TYPE_CHECKING:
    from memberscan.cohort import Cohort

_AGE_CENTER, _AGE_SPREAD = 50.0, 20.0
_LARGEST_FEATURE = 10.0


def scale_of(cohort: Cohort, center: float | None, spread: float | None, name: str) -> tuple[float, float]:
    """Return the constants that standardise labels: those given, or 50 and 20 years for ages.

    Raises
    ------
    BadInputError
        If none are given for a number that is no age; ``name`` is that of the defence.
    """
    if center is not None and spread is not None:
        return center, spread
    if cohort.target.is_age or cohort.target.classes:
        return _AGE_CENTER, _AGE_SPREAD
    raise BadInputError(
        f"{name} needs public constants for the target {cohort.target.name!r}: add center=... and "
        f"spread=..., in {cohort.target.unit}"
    )


def public_moments(
    own: Mapping[str, Tensor], labels: tuple[float, float], features: tuple[float, float], name: str
) -> dict[str, Tensor]:
    """Return moments of constants, in the form of those of the people trained on.

    Parameters
    ----------
    own
        Moments of the people trained on; only their form is used, and whether features are far too large.
    labels, features
        Center and spread of labels, and of all features of a table.
    name
        Of the defence, for errors.

    Raises
    ------
    ModelError
        If a feature is so large that it would decide every gradient alone.
    """
    center, spread = labels
    found = {key: torch.zeros_like(value) for key, value in own.items()}
    found["age"] += center
    found["age_square"] += center**2 + spread**2
    if "feature" in own:
        middle, width = features
        # The mean of (x - c)^2, from the means of x and of x^2.
        square = own["feature_square"] - 2 * middle * own["feature"] + middle**2
        size = float(square.max().sqrt()) / width
        if size > _LARGEST_FEATURE:
            raise ModelError(
                f"a feature of the table is {size:.3g} times feature_spread, and {name} does not "
                "scale features by the people trained on; standardise the table with public constants "
                "first, or give feature_center=... and feature_spread=... for features of one kind"
            )
        found["feature"] += middle
        found["feature_square"] += middle**2 + width**2
    return found
