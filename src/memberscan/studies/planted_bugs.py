"""Wrong implementations of dp-sgd that state its guarantee nevertheless, for the study of canaries."""

from __future__ import annotations

from dataclasses import asdict, replace

import torch
from torch import Tensor

from memberscan.configuration import configuration
from memberscan.defences.defence import Step, TrainingSize
from memberscan.defences.dp_sgd import DPSGD
from memberscan.guarantee import Guarantee


@configuration
class WithoutNoise(DPSGD):
    """Clips people as dp-sgd does, and leaves the noise out."""

    def guarantee(self, size: TrainingSize) -> Guarantee:
        """Return what dp-sgd would guarantee."""
        return DPSGD(**asdict(self)).guarantee(size)

    def _noise(self, size: TrainingSize) -> float:  # noqa: ARG002
        return 0.0


@configuration
class ClippedByScan(DPSGD):
    """Clips each scan instead of each person, so a person with k scans counts k times."""

    def gradients(self, step: Step) -> Tensor:
        """Take each scan for a person."""
        alone = torch.arange(len(step.people), device=step.people.device)
        return super().gradients(replace(step, people=alone))


@configuration
class PersonTwice(DPSGD):
    """Has each person twice in a batch, as two people."""

    def gradients(self, step: Step) -> Tensor:
        """Double the batch."""
        again = step.people + step.size.people
        doubled = replace(
            step,
            inputs=torch.cat([step.inputs, step.inputs]),
            targets=torch.cat([step.targets, step.targets]),
            people=torch.cat([step.people, again]),
        )
        return super().gradients(doubled)
