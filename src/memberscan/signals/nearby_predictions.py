"""Answers about a copy of each scan that differs in one bit: what shows a service that recognises scans."""

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

NEARBY_PREDICTION = Signal("nearby-prediction", (SCAN,))
"""Of the scan with its first number moved to the next one that float32 can hold."""


@dataclass(frozen=True)
class NearbyPredictions(OfFinalModel):
    """Predictions of copies that are nearly equal.

    The model predicts the same of both, up to rounding, so its predictions of the scans are taken. Only a
    service can answer otherwise.
    """

    def behind_service(self, signal: Signal) -> BehindService:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        return "changed"

    def adds(self, signals: Sequence[Signal], target: Target) -> bool:  # noqa: ARG002
        """Tell whether there is a service, which may answer otherwise than its model."""
        return target.service is not None

    def reading(self, signal: Signal, target: TrainedModel) -> Reading:  # noqa: ARG002
        """See :class:`.OfFinalModel`."""
        from memberscan.signals.passes.final_model import Reading

        return Reading(lambda seen: seen.predictions.double().cpu().numpy())


NEARBY_PREDICTIONS = NearbyPredictions(("nearby-prediction",), Access.OUTPUTS, FINAL)
