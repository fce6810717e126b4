"""Gaussian noise on labels, so that a model that fits them exactly does not know the true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence
from memberscan.errors import BadInputError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor
    from memberscan.target_variable import TargetVariable


@configuration
class LabelNoise(Defence):
    """Adds Gaussian noise to the label of every scan, once for the whole training.

    Noise that is drawn anew in each epoch averages out, and the model then learns the true label.

    Parameters
    ----------
    spread
        Standard deviation of the noise, in the unit of the target.
    """

    strengths: ClassVar = ("spread=5", "spread=15")

    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:  # noqa: ARG002
        """Refuse targets of classes."""
        if cohort.target.classes:
            raise ModelError(
                f"label-noise adds a number to labels, but the target {cohort.target.name!r} has classes; "
                "take randomised-response for classes"
            )

    def labels(
        self,
        own: Float[np.ndarray, " scans"],
        target: TargetVariable,  # noqa: ARG002
        rng: np.random.Generator | None,
    ) -> Float[np.ndarray, " scans"]:
        """Return y + N(0, spread^2) for each label y, in the unit of the target."""
        return own + self.spread * lasting(rng).standard_normal(len(own))


def lasting(rng: np.random.Generator | None) -> np.random.Generator:
    """Return random numbers that are the same in a whole training.

    Raises
    ------
    BadInputError
        If there are none.
    """
    if rng is None:
        raise BadInputError(
            "a defence that changes labels must draw them once for the whole training, but a site of a "
            "deployed federation draws a new seed in each round; change the labels in the site's cohort "
            "instead, or take another defence"
        )
    return rng
