"""What our target models share: ages standardised by buffers, predictions in years, named landmarks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

CONV1, CONV6, OUTPUT = "conv1", "conv6", "output"


class AgeRegressor(nn.Module, ABC):
    """A network that predicts age in years from standardised ages that it learns on.

    The mean and spread of the training ages are buffers, so they travel with the weights, and an output bias
    of zero is the mean training age. Sub-classes define :meth:`standardised` and the ``landmarks``: names of
    layers that attacks refer to, with the module path of each. ``learning_rate`` is the one that trains on
    about a hundred scans in tens of epochs; the paper's, for ten thousand scans, is 1e-4.
    """

    landmarks: ClassVar[Mapping[str, str]] = {}
    learning_rate: ClassVar[float] = 3e-4
    age_mean: Tensor
    age_spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("age_mean", torch.zeros(()))
        self.register_buffer("age_spread", torch.ones(()))

    def calibrate(self, ages: Float[Tensor, " n"], features: Float[Tensor, "n d"] | None = None) -> None:
        """Take the scale of the training ages (years); ``features`` are given for tables only."""
        del features
        self.age_mean.fill_(ages.double().mean())
        # Equal ages have no spread; any positive scale trains then.
        self.age_spread.fill_(ages.double().std().clamp_min(1e-3) if len(ages) > 1 else 1.0)

    @abstractmethod
    def standardised(self, inputs: Tensor) -> Float[Tensor, " n"]:
        """Predict (age - age_mean) / age_spread."""

    def forward(self, inputs: Tensor) -> Float[Tensor, " n"]:
        """Predict age in years."""
        return self.standardised(inputs).float() * self.age_spread + self.age_mean
