"""The base class of the built-in models: standardised targets, a head, predictions in the unit, landmarks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from memberscan.models.heads import Classes, Head, SquaredError, head_named

if TYPE_CHECKING:
    from jaxtyping import Float

CONV1, CONV6, OUTPUT = "conv1", "conv6", "output"
ROUNDING = 1e-12
"""Share of the mean square below which a variance computed from moments is only rounding error."""


class AgeRegressor(nn.Module, ABC):
    """A network that is trained on standardised labels and predicts age, or another target, in its unit.

    The mean and spread of the training labels are buffers, so they are saved with the weights, and an output
    bias of zero is their mean. They are called after age, the target of the first files, whatever the target;
    classes are not standardised. Sub-classes define :meth:`standard_outputs` and the ``landmarks``:
    names of layers that attacks refer to, with the module path of each. The default ``learning_rate`` suits
    about a hundred scans and tens of epochs; the paper's, for ten thousand scans, is 1e-4.

    Parameters
    ----------
    head
        Name of the head, which defines what the outputs mean: see :data:`~memberscan.models.heads.HEADS`.
    class_count
        Number of classes, for the head "classes".
    """

    landmarks: ClassVar[Mapping[str, str]] = {}
    learning_rate: ClassVar[float] = 3e-4
    age_mean: Tensor
    age_spread: Tensor

    def __init__(self, head: str = SquaredError.name, class_count: int = 2) -> None:
        super().__init__()
        self.head: Head = Classes(class_count) if head == Classes.name else head_named(head)
        self.register_buffer("age_mean", torch.zeros(()))
        self.register_buffer("age_spread", torch.ones(()))

    def moments(
        self, labels: Float[Tensor, " n"], features: Float[Tensor, "n d"] | None = None
    ) -> dict[str, Tensor]:
        """Return means, and means of squares, of the labels (and of a table's features), in double precision.

        :meth:`calibrate` needs nothing else, and the moments of a federation are the weighted mean of its
        learners' moments, so that labels need not be pooled.
        """
        del features
        labels = labels.double()
        return {"age": labels.mean(), "age_square": (labels**2).mean()}

    def calibrate(self, moments: Mapping[str, Tensor], count: int) -> None:
        """Set the scale from the moments of ``count`` training labels (and features)."""
        if not self.head.standardised:
            return
        spread = spread_of(moments["age"], moments["age_square"], count)
        self.age_mean.fill_(moments["age"])
        # If all labels are equal, their spread is zero; any positive scale works then.
        self.age_spread.fill_(spread.clamp_min(1e-3) if count > 1 else 1.0)

    def fixed_buffers(self) -> list[str]:
        """Return the names of the buffers that training does not change: the scale of labels, for example."""
        return [name for name, _ in self.named_buffers()]

    @abstractmethod
    def standard_outputs(self, inputs: Tensor) -> Float[Tensor, "n k"]:
        """Return the head's outputs for the target (label - age_mean) / age_spread."""

    def outputs(self, inputs: Tensor) -> Float[Tensor, "n k"]:
        """Return the head's outputs in the target's unit."""
        return self.head.in_unit(self.standard_outputs(inputs).float(), self.age_mean, self.age_spread)

    def forward(self, inputs: Tensor) -> Float[Tensor, " n"]:
        """Predict the target in its unit; of classes, the position of the likeliest."""
        return self.head.prediction(self.outputs(inputs))


def spread_of(mean: Tensor, square: Tensor, count: int) -> Tensor:
    """Return the standard deviation of a sample from its moments; zero if it is only rounding error."""
    variance = square - mean**2
    variance = torch.where(variance > ROUNDING * square, variance, 0.0)
    return torch.sqrt(variance * count / max(count - 1, 1))
