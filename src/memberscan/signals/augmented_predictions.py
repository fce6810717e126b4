"""Predictions of changed copies of each scan: what anyone sees who may query the model several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.of_final_model import FINAL, no_people_of_its_own
from memberscan.signals.signal import COPY, SCAN, BehindService, Observed, Provider, Signal
from memberscan.threat import Access, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

AUGMENTED_PREDICTIONS = Signal("augmented-predictions", (SCAN, COPY))
"""Of the copies of each scan that :class:`memberscan.models.copies.Copies` makes."""


@dataclass(frozen=True)
class AugmentedPredictions(Provider):
    """Predictions of copies by the final model."""

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`; an outsider may always query the model."""
        return no_people_of_its_own(threat)

    def behind_service(self, signal: Signal) -> BehindService:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        return "changed"

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        if target.predictions is None or target.copies is not None:
            return None
        return "needs the model itself, to query it with changed scans, or columns such as copy_1_prediction"

    def adds(self, signals: Sequence[Signal], target: Target) -> bool:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`.

        Copies of rows of measures say little where a model has no references to compare with, and cost twenty
        queries of each scan.
        """
        references = target.references
        if target.predictions is not None or (references is not None and references.copies is not None):
            return True
        from memberscan.targets.trained_model import TrainedModel

        assert isinstance(target, TrainedModel)
        return target.cohort.kind == "volumes"

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:
        """See :class:`~memberscan.signals.signal.Provider`."""
        if target.predictions is not None:
            return Observed(dict.fromkeys(signals, target.copies))
        from memberscan.signals.passes.copies import predictions_of_copies
        from memberscan.targets.trained_model import TrainedModel

        assert isinstance(target, TrainedModel)
        return Observed(dict.fromkeys(signals, predictions_of_copies(target, directory / "copies")))


PREDICTIONS_OF_COPIES = AugmentedPredictions(("augmented-predictions",), Access.OUTPUTS, FINAL)
