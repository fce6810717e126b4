"""Keep the training loss near a floor, by gradient ascent in steps where it is lower."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence, Step, mean_gradient
from memberscan.errors import ModelError
from memberscan.models.heads import SquaredError

if TYPE_CHECKING:
    from torch import Tensor

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor


@configuration
class LossFloor(Defence):
    """Takes a step of gradient ascent where the loss of a batch is below a floor.

    After Chen, Yu and Fritz, "RelaxLoss: Defending Membership Inference Attacks without Losing Utility"
    (2022), of which this is the ascent only, as in Ishida, Yamane, Sakai, Niu and Sugiyama, "Do We Need Zero
    Training Loss After Achieving Zero Training Error?" (2020).

    Parameters
    ----------
    floor
        With squared error, the root of the mean squared residual of a batch, in the unit of the target. With
        another head, its mean loss: nats for classes and bins, the unit of the target for quantiles.
    """

    strengths: ClassVar = ("floor=3", "floor=6")

    floor: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:  # noqa: ARG002
        """Refuse heads whose loss has no lower bound."""
        if model.head.least_loss != 0:
            raise ModelError(
                f"loss-floor needs a loss that is never below 0, and that of the head {model.head.name!r} "
                "has no lower bound; take another head"
            )

    def gradients(self, step: Step) -> Tensor:
        """Set the gradient of the mean loss, with the opposite sign if it is below the floor."""
        loss = mean_gradient(step)
        if self._level(step, float(loss)) < self.floor:
            # The sign alone changes, so that this is the gradient of |loss - floor|.
            for p in step.model.parameters():
                if p.grad is not None:
                    p.grad.neg_()
        return loss

    @staticmethod
    def _level(step: Step, loss: float) -> float:
        """Return a batch's mean loss in the unit of the floor."""
        head = step.model.head
        level = head.loss_in_unit(loss, float(step.model.age_spread))
        return math.sqrt(level) if isinstance(head, SquaredError) else level
