"""What a model says of a scan besides its prediction: its loss at the true value, and how uncertain it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memberscan.signals.of_final_model import FINAL, OfFinalModel
from memberscan.signals.signal import SCAN, Signal
from memberscan.threat import Access

if TYPE_CHECKING:
    import numpy as np

    from memberscan.models.gradients import Capture
    from memberscan.signals.passes.final_model import Reading
    from memberscan.targets.target import Target
    from memberscan.targets.trained_model import TrainedModel

HEAD_OUTPUTS = Signal("head", (SCAN, "measure"))
"""Two columns: the head's loss in the target's unit, and its uncertainty."""


@dataclass(frozen=True)
class HeadOutputs(OfFinalModel):
    """Loss and uncertainty by the head of the final model."""

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:
        """See :class:`~memberscan.signals.signal.Provider`; a single number has no uncertainty."""
        if (lacking := super().absent(signals, target)) is not None:
            return lacking
        if self.adds(signals, target):
            return None
        return (
            "needs a head that says more than a prediction (classes, or --head gaussian, quantiles or bins)"
        )

    def adds(self, signals: Sequence[Signal], target: Target) -> bool:  # noqa: ARG002
        """See :class:`~memberscan.signals.signal.Provider`."""
        if target.predictions is not None:
            return False
        from memberscan.models.heads import head_of
        from memberscan.targets.trained_model import TrainedModel

        return isinstance(target, TrainedModel) and head_of(target.model).outputs != 1

    def reading(self, signal: Signal, target: TrainedModel) -> Reading:  # noqa: ARG002
        """See :class:`.OfFinalModel`."""
        import torch

        from memberscan.models.heads import head_of
        from memberscan.signals.passes.final_model import Reading

        uncertainty = head_of(target.model).uncertainty

        def rows(seen: Capture) -> np.ndarray:
            assert seen.losses is not None  # the pass over scans gives their labels
            found = uncertainty(seen.outputs)
            both = [seen.losses, torch.zeros_like(seen.losses) if found is None else found]
            return torch.stack(both, dim=1).double().cpu().numpy()

        return Reading(rows)


HEAD_OUTPUTS_OF_SCANS = HeadOutputs(("head",), Access.OUTPUTS, FINAL)
