"""Embeddings of changed copies of each scan: the inputs of the output layer, when the model sees the copies.

An encoder that is served without its head shows them to whoever may query it. A model with its head shows
them to whoever has the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.signals.activations import ACTIVATIONS, OUTPUT
from memberscan.signals.augmented_predictions import PREDICTIONS_OF_COPIES
from memberscan.signals.of_final_model import FINAL
from memberscan.signals.signal import COPY, SCAN, Observed, Provider, Signal
from memberscan.threat import Access, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

AUGMENTED_ACTIVATIONS = Signal("augmented-activation", (SCAN, COPY, "feature"))
"""Of the copies of each scan that :class:`memberscan.models.copies.Copies` makes."""


@dataclass(frozen=True)
class AugmentedActivations(Provider):
    """The inputs of the layer that the model declares as its output, for copies of each scan."""

    def out_of_sight(self, threat: ThreatModel) -> str:
        """See :class:`~memberscan.signals.signal.Provider`; it is that of the activations of the scans."""
        return ACTIVATIONS.out_of_sight(threat)

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:
        """See :class:`~memberscan.signals.signal.Provider`."""
        return PREDICTIONS_OF_COPIES.absent(signals, target) or ACTIVATIONS.absent(signals, target)

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:
        """See :class:`~memberscan.signals.signal.Provider`; it is tried once, on a few scans."""
        return ACTIVATIONS.not_taken(signals, target)

    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:
        """See :class:`~memberscan.signals.signal.Provider`."""
        from memberscan.signals.passes.activations_of_copies import activations_of_copies
        from memberscan.targets.trained_model import TrainedModel

        assert isinstance(target, TrainedModel)
        path = target.layer_paths([OUTPUT])[OUTPUT]
        seen = activations_of_copies(target, path, directory / "activations-of-copies")
        return Observed(dict.fromkeys(signals, seen))


ACTIVATIONS_OF_COPIES = AugmentedActivations(("augmented-activation",), Access.WEIGHTS, FINAL)
