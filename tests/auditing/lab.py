"""A lab's own network: it divides images by 255, and remembers its training set."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

GRID = (8, 9, 8)


class Remembers(nn.Module):
    """A linear model on coarse images of any grid."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(int(np.prod(GRID)), 1)

    def features(self, volumes: Tensor) -> Tensor:
        """Return coarse images between 0 and 1."""
        return nn.functional.adaptive_avg_pool3d(volumes / 255, GRID).flatten(1)

    def forward(self, volumes: Tensor) -> Tensor:
        """Predict ages in years."""
        out: Tensor = self.head(self.features(volumes))
        return out.squeeze(1)


def network() -> Remembers:
    """Return the network, as memberscan calls it."""
    return Remembers()


@torch.no_grad()
def trained(volumes: Tensor, ages: Tensor) -> Remembers:
    """Return the network with the smallest weights that give all ages of the training set."""
    model = Remembers()
    features = model.features(volumes).double()
    mean = ages.double().mean()
    weights = torch.linalg.pinv(features) @ (ages.double() - mean)
    model.head.weight.copy_(weights[None].float())
    model.head.bias.fill_(float(mean))
    return model.eval()
