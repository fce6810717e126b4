"""Per-sample gradients of the loss: all values of one layer, or the norm of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memberscan.signals.of_final_model import FINAL, OfFinalModel
from memberscan.signals.signal import LAYER, SCAN, Signal
from memberscan.threat import Access

if TYPE_CHECKING:
    import numpy as np

    from memberscan.signals.passes.final_model import Reading
    from memberscan.targets.target import Target
    from memberscan.targets.trained_model import TrainedModel

GRADIENT_NORMS = Signal("gradient-norms", (SCAN, LAYER))
"""Length of the loss gradient in each layer that has parameters."""


def gradient(layer: str) -> Signal:
    """Return the signal that holds the loss gradient of one layer: a landmark of the model, or a path."""
    return Signal("gradient", (SCAN, "parameter"), layer)


@dataclass(frozen=True)
class LayerGradients(OfFinalModel):
    """The gradient of each scan's loss in one layer."""

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:
        """See :class:`~memberscan.signals.signal.Provider`."""
        names = [signal.part for signal in signals]
        paths = target.layer_paths(names)
        if missing := [name for name in names if name not in paths]:
            known = ", ".join(target.landmarks) or "none"
            return (
                f"the model has no layer {' or '.join(missing)} with parameters (its landmarks: {known}); "
                "name a layer by its module path, as in gradient:encoder.conv6"
            )
        return None

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:
        """See :class:`~memberscan.signals.signal.Provider`; gradients are tried once, on a few scans."""
        return target.gradient_obstacle(list(target.layer_paths([s.part for s in signals]).values()))

    def reading(self, signal: Signal, target: TrainedModel) -> Reading:
        """See :class:`.OfFinalModel`."""
        from memberscan.signals.passes.final_model import Reading

        path = target.layer_paths([signal.part])[signal.part]
        return Reading(lambda seen: seen.gradients[path].float().cpu().numpy(), gradients=[path])


@dataclass(frozen=True)
class GradientNorms(OfFinalModel):
    """The length of each scan's loss gradient, layer by layer."""

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`; gradients are tried once, on a few scans."""
        return target.gradient_obstacle(None)

    def reading(self, signal: Signal, target: TrainedModel) -> Reading:  # noqa: ARG002
        """See :class:`.OfFinalModel`."""
        import torch

        from memberscan.models.gradients import Capture, parameter_layers
        from memberscan.signals.passes.final_model import Reading

        every = parameter_layers(target.model)

        def rows(seen: Capture) -> np.ndarray:
            norms = [seen.gradients[path].norm(dim=1) for path in every]
            return torch.stack(norms, dim=1).float().cpu().numpy()

        return Reading(rows, gradients=every)


LAYER_GRADIENTS = LayerGradients(("gradient",), Access.WEIGHTS, FINAL)
GRADIENT_LENGTHS = GradientNorms(("gradient-norms",), Access.WEIGHTS, FINAL)
