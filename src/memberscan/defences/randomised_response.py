"""Randomised response on classes: a label that the model knows may be another one, with a known guarantee."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence, TrainingSize
from memberscan.defences.label_noise import lasting
from memberscan.errors import ModelError
from memberscan.guarantee import Guarantee

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor
    from memberscan.target_variable import TargetVariable


@configuration
class RandomisedResponse(Defence):
    """Replaces the class of some scans by another one, drawn once for the whole training.

    Of K classes, the true one is kept with probability e^epsilon / (e^epsilon + K - 1), and each other one
    has the same share of the rest. The ratio of the probabilities of any label under two true labels is then
    at most e^epsilon, which is differential privacy of the label alone. Source: Warner, "Randomized Response"
    (1965); for trainings, Ghazi, Golowich, Kumar, Manurangsi and Zhang, "Deep Learning with Label
    Differential Privacy" (2021).

    Parameters
    ----------
    epsilon
        Of the privacy of one scan's label. It does not protect who was in the training set.
    """

    strengths: ClassVar = ("epsilon=1", "epsilon=3")

    epsilon: Annotated[float, Field(gt=0, le=50)]

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:  # noqa: ARG002
        """Refuse targets that are numbers."""
        if not cohort.target.classes:
            raise ModelError(
                f"randomised-response replaces classes, but the target {cohort.target.name!r} is a number in "
                f"{cohort.target.unit}; take label-noise for numbers"
            )

    def labels(
        self,
        own: Float[np.ndarray, " scans"],
        target: TargetVariable,
        rng: np.random.Generator | None,
    ) -> Float[np.ndarray, " scans"]:
        """Return positions of classes, some of them replaced by another class."""
        rng, count = lasting(rng), len(target.classes)
        replaced = rng.random(len(own)) < self.replaced(count)
        # A shift by 1 to K - 1 places reaches each other class equally often, and never the own one.
        shift = rng.integers(1, count, len(own))
        return np.where(replaced, (own + shift) % count, own)

    def replaced(self, count: int) -> float:
        """Return the probability that a label is replaced, for so many classes."""
        return (count - 1) / (math.exp(self.epsilon) + count - 1)

    def guarantee(self, size: TrainingSize) -> Guarantee:  # noqa: ARG002
        """Return the privacy of labels; it has no epsilon of membership."""
        return Guarantee(
            f"Differential privacy with epsilon = {self.epsilon:g} of the label of one scan among those "
            "trained on, given its image; not of who was trained on. For k labels of one person, k times "
            "that. It assumes that nobody can guess the defence's seed.",
            "whoever trains",
        )
