"""A multilayer perceptron for tables of regional measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from memberscan.models.heads import SquaredError
from memberscan.models.regressor import OUTPUT, AgeRegressor, spread_of

if TYPE_CHECKING:
    from jaxtyping import Float


class MLP(AgeRegressor):
    """Brain age, or another target, from regional measures; buffers standardise features, as they do labels.

    Parameters
    ----------
    shape
        Number of features, as a sequence of one.
    width
        Units of each of the two hidden layers.
    head
        Name of the head, which defines what the outputs mean.
    class_count
        Number of classes, for the head "classes".
    """

    landmarks: ClassVar = {OUTPUT: "output"}
    feature_mean: Tensor
    feature_spread: Tensor

    def __init__(
        self, shape: Sequence[int], *, width: int = 128, head: str = SquaredError.name, class_count: int = 2
    ) -> None:
        super().__init__(head, class_count)
        (features,) = shape
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_spread", torch.ones(features))
        self.hidden = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.output = nn.Linear(width, self.head.outputs)
        nn.init.zeros_(self.output.bias)

    def moments(
        self, labels: Float[Tensor, " n"], features: Float[Tensor, "n d"] | None = None
    ) -> dict[str, Tensor]:
        """Return the moments of the labels and of each feature."""
        moments = super().moments(labels)
        if features is not None:
            x = features.double()
            moments |= {"feature": x.mean(dim=0), "feature_square": (x**2).mean(dim=0)}
        return moments

    def calibrate(self, moments: Mapping[str, Tensor], count: int) -> None:
        """Take the scale of the training labels and of each feature."""
        super().calibrate(moments, count)
        if "feature" in moments:
            spread = spread_of(moments["feature"], moments["feature_square"], count)
            self.feature_mean.copy_(moments["feature"])
            # A constant feature has no spread and carries no information; dividing by its rounding error
            # would turn it into noise.
            self.feature_spread.copy_(torch.where(spread > 0, spread, 1.0))

    def standard_outputs(self, inputs: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return the head's outputs for each row."""
        result: Tensor = self.output(self.hidden((inputs - self.feature_mean) / self.feature_spread))
        return result
