"""The inputs of the output layer: the network's last representation of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memberscan.signals.of_final_model import FINAL, OfFinalModel
from memberscan.signals.signal import SCAN, Signal
from memberscan.threat import Access

if TYPE_CHECKING:
    from memberscan.signals.passes.final_model import Reading
    from memberscan.targets.target import Target
    from memberscan.targets.trained_model import TrainedModel

ACTIVATION = Signal("activation", (SCAN, "feature"))
OUTPUT = "output"


@dataclass(frozen=True)
class Activations(OfFinalModel):
    """The inputs of the layer that the model declares as its output."""

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        if not target.layer_paths([OUTPUT]):
            return "the model has no landmark 'output', so its last activation is not known"
        return None

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`; it is tried once, on a few scans."""
        return target.activation_obstacle(target.layer_paths([OUTPUT])[OUTPUT])

    def reading(self, signal: Signal, target: TrainedModel) -> Reading:  # noqa: ARG002
        """See :class:`.OfFinalModel`."""
        from memberscan.signals.passes.final_model import Reading

        path = target.layer_paths([OUTPUT])[OUTPUT]
        return Reading(lambda seen: seen.entered[path].float().cpu().numpy(), entering=[path])


ACTIVATIONS = Activations(("activation",), Access.WEIGHTS, FINAL)
