"""What defences share that clip gradients or updates and add Gaussian noise: options, and a public scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from memberscan.configuration import configuration
from memberscan.defences.accountant import Steps, noise_for
from memberscan.defences.defence import Defence
from memberscan.errors import BadInputError, ModelError

if TYPE_CHECKING:
    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor

_AGE_CENTER, _AGE_SPREAD = 50.0, 20.0
_LARGEST_FEATURE = 10.0

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@configuration
class ClippedNoise(Defence):
    """Differential privacy by clipped vectors, and Gaussian noise on their sum.

    Sub-classes say whose vectors are clipped, and in how many steps noise is added.

    Parameters
    ----------
    epsilon
        Epsilon of the whole training; the noise is found from it. Give it or ``noise``.
    noise
        Standard deviation of the noise in units of ``clip``.
    delta
        Probability with which the guarantee may fail.
    clip
        Greatest length of a vector. Labels are standardised, so that it has no unit.
    center, spread
        Constants that standardise the labels, in the unit of the target; by default 50 and 20 for ages in
        years. They must be public, since moments of the training set tell something of its people.
    feature_center, feature_spread
        Public constants that standardise the features of a table, all by the same; by default they are used
        as they are.
    """

    name: ClassVar[str]

    epsilon: Positive | None = None
    noise: Positive | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip: Positive = 1.0
    center: Annotated[float, Field(allow_inf_nan=False)] | None = None
    spread: Positive | None = None
    feature_center: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    feature_spread: Positive = 1.0

    def __post_init__(self) -> None:
        if (self.epsilon is None) == (self.noise is None):
            raise BadInputError("give either epsilon, from which the noise is found, or noise")
        if (self.center is None) != (self.spread is None):
            raise BadInputError("give both center and spread, or neither")

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:  # noqa: ARG002
        """Refuse a target without public constants."""
        self._label_scale(cohort)

    def extendable(self) -> bool:
        """Return whether the noise does not follow from the number of rounds."""
        return self.epsilon is None

    def gaussian_noise(self) -> bool:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return True

    def noise_after(self, rate: float, steps: Steps, delta: float) -> float:
        """Return the noise that was given, or that which has the given epsilon after all steps."""
        if self.noise is not None:
            return self.noise
        assert self.epsilon is not None  # checked when it was made
        return noise_for(self.epsilon, rate, steps, delta)

    def moments(self, own: Mapping[str, Tensor], cohort: Cohort) -> Mapping[str, Tensor]:
        """Return moments of public constants, for labels and for the features of a table.

        Those of the people trained on would tell of them without noise. Only the form of ``own`` is used, and
        whether features are far too large.

        Raises
        ------
        ModelError
            If a feature is so large that it would decide every gradient alone.
        """
        center, spread = self._label_scale(cohort)
        found = {key: torch.zeros_like(value) for key, value in own.items()}
        found["age"] += center
        found["age_square"] += center**2 + spread**2
        if "feature" in own:
            self._require_small_features(own)
            found["feature"] += self.feature_center
            found["feature_square"] += self.feature_center**2 + self.feature_spread**2
        return found

    def _label_scale(self, cohort: Cohort) -> tuple[float, float]:
        """Return the constants that standardise labels: those given, or 50 and 20 years for ages."""
        if self.center is not None and self.spread is not None:
            return self.center, self.spread
        if cohort.target.is_age or cohort.target.classes:
            return _AGE_CENTER, _AGE_SPREAD
        raise BadInputError(
            f"{self.name} needs public constants for the target {cohort.target.name!r}: add center=... and "
            f"spread=..., in {cohort.target.unit}"
        )

    def _require_small_features(self, own: Mapping[str, Tensor]) -> None:
        # The mean of (x - c)^2, from the means of x and of x^2.
        center = self.feature_center
        square = own["feature_square"] - 2 * center * own["feature"] + center**2
        size = float(square.max().sqrt()) / self.feature_spread
        if size > _LARGEST_FEATURE:
            raise ModelError(
                f"a feature of the table is {size:.3g} times feature_spread, and {self.name} does not "
                "scale features by the people trained on; standardise the table with public constants "
                "first, or give feature_center=... and feature_spread=... for features of one kind"
            )
