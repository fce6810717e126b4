"""The prediction of each scan: what anyone sees who can query the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memberscan.signals.of_final_model import FINAL, OfFinalModel
from memberscan.signals.signal import SCAN, BehindService, Signal
from memberscan.threat import Access

if TYPE_CHECKING:
    from memberscan.signals.passes.final_model import Reading
    from memberscan.targets.target import Target
    from memberscan.targets.trained_model import TrainedModel

PREDICTION = Signal("prediction", (SCAN,))
"""In the unit of the target variable; of classes, the log-probability of the person's own class."""


@dataclass(frozen=True)
class Predictions(OfFinalModel):
    """Predictions by the final model."""

    def absent(self, signals: Sequence[Signal], target: Target) -> None:
        """See :class:`~memberscan.signals.signal.Provider`; every target has predictions."""

    def behind_service(self, signal: Signal) -> BehindService:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        return "changed"

    def reading(self, signal: Signal, target: TrainedModel) -> Reading:  # noqa: ARG002
        """See :class:`.OfFinalModel`."""
        from memberscan.signals.passes.final_model import Reading

        return Reading(lambda seen: seen.predictions.double().cpu().numpy())


PREDICTIONS = Predictions(("prediction",), Access.OUTPUTS, FINAL)
