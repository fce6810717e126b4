"""Release a student of many teachers of disjoint people; noise on their mean answer hides each person."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.accountant import default_delta
from memberscan.defences.distillation import Distillation
from memberscan.errors import BadInputError, ModelError
from memberscan.gaussian_privacy import gaussian_epsilon, gaussian_mu
from memberscan.guarantee import Guarantee

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.cohort import Cohort
    from memberscan.defences.defence import TrainingSize
    from memberscan.models.regressor import AgeRegressor
    from memberscan.target_variable import TargetVariable

_LOWEST_AGE, _HIGHEST_AGE = 20.0, 90.0
_LEAST_NOISE = 1e-4
"""Less noise gives an epsilon of tens of millions even for a single answer."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


@configuration
class Teachers(Distillation):
    """Trains teachers on disjoint people, and releases a student of their mean answers with noise.

    Each member belongs to one of the teachers, drawn at random. The student is trained on the scans of the
    people with the role validation, whose labels are replaced by the mean of the teachers' predictions, each
    clipped to [low, high], plus Gaussian noise of standard deviation noise (high - low) / count.

    Source: Papernot, Abadi, Erlingsson, Goodfellow and Talwar, "Semi-supervised Knowledge Transfer for Deep
    Learning from Private Training Data" (2017), who count votes for classes; here means of numbers.

    Parameters
    ----------
    count
        Number of teachers.
    epsilon
        Epsilon for each member; the noise is found from it. Give it or ``noise``.
    noise
        Standard deviation of the noise on each answer, in units of (high - low) / count; 0 for none, and no
        guarantee.
    delta
        Probability with which the guarantee may fail; by default the largest power of ten below one over the
        number of members.
    low, high
        Range to which predictions are clipped, in the unit of the target; by default 20 to 90 for ages in
        years. They must be public.

    Notes
    -----
    A person changes the answers of one teacher, by (high - low) / count at most in the mean. All Q answers
    together change by sqrt(Q) times that, so they are a Gaussian mechanism with mu = sqrt(Q) / noise, whose
    epsilon is exact (Balle and Wang 2018). What is trained on them cannot lose this property.
    """

    name: ClassVar[str] = "teachers"
    strengths: ClassVar = ("noise=0", "epsilon=8", "epsilon=100", "epsilon=10000")

    count: Annotated[int, Field(ge=2, le=10_000)] = 10
    epsilon: Annotated[float, Field(gt=0, le=1e6)] | None = None
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    low: Finite | None = None
    high: Finite | None = None

    def __post_init__(self) -> None:
        if (self.epsilon is None) == (self.noise is None):
            raise BadInputError("give either epsilon, from which the noise is found, or noise")
        if self.noise is not None and 0 < self.noise < _LEAST_NOISE:
            raise BadInputError(
                f"noise is {self.noise:g}, too little for any epsilon; give more, or 0 for no guarantee"
            )
        if (self.low is None) != (self.high is None):
            raise BadInputError("give both low and high, or neither")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise BadInputError(f"low is {self.low:g} and high is {self.high:g}; low must be below high")

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:  # noqa: ARG002
        """Refuse targets of classes, and those without a public range."""
        if cohort.target.classes:
            raise ModelError(
                f"teachers takes means of predictions, but the target {cohort.target.name!r} has classes; "
                "take distillation, which has no guarantee, or dp-sgd"
            )
        self.range(cohort.target)

    def range(self, target: TargetVariable) -> tuple[float, float]:
        """Return the ends of the range to which predictions are clipped.

        Raises
        ------
        BadInputError
            If the target is not the age, and no range was given.
        """
        if self.low is not None and self.high is not None:
            return self.low, self.high
        if target.is_age:
            return _LOWEST_AGE, _HIGHEST_AGE
        raise BadInputError(
            f"teachers needs a public range for the target {target.name!r}: add low=... and high=..., in "
            f"{target.unit}"
        )

    def teacher_count(self) -> int:
        """See :class:`.Distillation`."""
        return self.count

    def taught(
        self,
        answers: Float[np.ndarray, "teachers scans"],
        target: TargetVariable,
        size: TrainingSize,
        rng: np.random.Generator,
    ) -> Float[np.ndarray, " scans"]:
        """Return the mean of the clipped answers, plus noise; a teacher without an answer says the middle."""
        low, high = self.range(target)
        clipped = np.nan_to_num(np.clip(answers, low, high), nan=(low + high) / 2)
        spread = self._noise(size) * (high - low) / self.count
        noise = spread * rng.standard_normal(answers.shape[1])
        return np.asarray(clipped.mean(axis=0) + noise)

    def guarantee(self, size: TrainingSize) -> Guarantee | None:
        """Return the privacy of the members; None without noise."""
        noise = self._noise(size)
        if noise == 0:
            return None
        delta = self._delta(size)
        epsilon = gaussian_epsilon(math.sqrt(size.held_out) / noise, delta)
        return Guarantee(
            f"Differential privacy with epsilon {epsilon:.3g} and delta {delta:g} for each member, with all "
            f"scans of that person, who is added or removed: the model learned {size.held_out} answers, each "
            f"the mean of {self.count} teachers trained on disjoint members, with noise of {noise:.3g} times "
            "what one teacher can change it by. The people held out, on whose images the model is trained, "
            "are not protected. The number of members is taken to be public.",
            "whoever trains",
            epsilon,
            delta,
        )

    def gaussian_noise(self) -> bool:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return self.noise != 0

    def _delta(self, size: TrainingSize) -> float:
        return self.delta or default_delta(size.people)

    def _noise(self, size: TrainingSize) -> float:
        if self.noise is not None:
            return self.noise
        assert self.epsilon is not None  # checked when it was made
        return math.sqrt(size.held_out) / gaussian_mu(self.epsilon, self._delta(size))
