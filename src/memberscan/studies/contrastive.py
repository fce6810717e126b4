"""An encoder of volumes and its contrastive training, for the study of encoders.

Source: the loss and the projection are those of Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for
Contrastive Learning of Visual Representations" (ICML 2020). The network and the views are our choice, small
enough for one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from memberscan import seeds
from memberscan.progress import progress

if TYPE_CHECKING:
    from jaxtyping import Float

WIDTH, REST = 8, 2
"""Channels of the first convolution; voxels along each axis that the features are averaged to."""
FEATURES, PROJECTED = 4 * WIDTH * REST**3, 32
TEMPERATURE, LEARNING_RATE = 0.2, 2e-3
ZOOM, TURN, SHIFT, SCALE, BIAS, NOISE = 0.1, 0.05, 1.0, 0.1, 0.1, 0.1
"""Largest change of size, of direction (radians), of place (voxels) and of intensity (share) in a view;
standard deviation of a smooth field of intensities, and of the noise, where voxels have variance 1."""


class Encoder(nn.Sequential):
    """Three convolutions, averaged to 2x2x2 voxels: 256 features of a volume on any grid."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(1, WIDTH, 5, stride=2, padding=2),
            nn.GroupNorm(4, WIDTH),
            nn.ReLU(),
            nn.Conv3d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1),
            nn.GroupNorm(4, 2 * WIDTH),
            nn.ReLU(),
            nn.Conv3d(2 * WIDTH, 4 * WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(REST),
            nn.Flatten(),
        )


class Projection(nn.Sequential):
    """Two linear layers from the features to the numbers that the contrastive loss compares."""

    def __init__(self) -> None:
        super().__init__(
            nn.BatchNorm1d(FEATURES),
            nn.Linear(FEATURES, 2 * PROJECTED),
            nn.BatchNorm1d(2 * PROJECTED),
            nn.ReLU(),
            nn.Linear(2 * PROJECTED, PROJECTED),
        )


class AgeFromEmbedding(nn.Module):
    """Predict age in years by a linear head on an embedding: the features, or their projection.

    Parameters
    ----------
    projected
        Whether the embedding is the projection.
    """

    landmarks: ClassVar = {"conv1": "encoder.0", "output": "output"}

    def __init__(self, *, projected: bool) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.projection = Projection() if projected else nn.Identity()
        self.output = nn.Linear(PROJECTED if projected else FEATURES, 1)

    def embedding(self, volumes: Float[Tensor, "n 1 i j k"]) -> Float[Tensor, "n d"]:
        """Return the input of the head."""
        found: Tensor = self.projection(self.encoder(volumes))
        return found

    def forward(self, volumes: Float[Tensor, "n 1 i j k"]) -> Float[Tensor, " n"]:
        """Predict age in years."""
        predicted: Tensor = self.output(self.embedding(volumes))
        return predicted.flatten()


def on_features() -> AgeFromEmbedding:
    """Return a network whose head is on the features."""
    return AgeFromEmbedding(projected=False)


def on_projection() -> AgeFromEmbedding:
    """Return a network whose head is on the projection."""
    return AgeFromEmbedding(projected=True)


def view_of(volumes: Float[Tensor, "n 1 i j k"], generator: torch.Generator) -> Float[Tensor, "n 1 i j k"]:
    """Return a random view of each volume: moved, turned, resized, mirrored, with other intensities."""
    n, grid = len(volumes), volumes.shape[2:]

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=generator) - 1

    matrix = torch.eye(3) * (1 + ZOOM * uniform(n, 1, 1)) + torch.diag_embed(ZOOM / 2 * uniform(n, 3))
    turn = TURN * uniform(n, 3, 3)
    matrix = matrix + turn - turn.transpose(1, 2)
    # Torch counts the axes of a volume from the last: left to right is the third.
    matrix[:, 2] *= torch.where(torch.rand(n, 1, generator=generator) < 0.5, -1.0, 1.0)
    shift = 2 * SHIFT * uniform(n, 3) / torch.tensor(grid[::-1])
    places = nn.functional.affine_grid(
        torch.cat([matrix, shift[:, :, None]], dim=2), list(volumes.shape), align_corners=False
    )
    moved = nn.functional.grid_sample(volumes, places, padding_mode="border", align_corners=False)
    field = nn.functional.interpolate(
        BIAS * torch.randn(n, 1, 3, 3, 3, generator=generator), size=tuple(grid), mode="trilinear"
    )
    changed = moved * (1 + SCALE * uniform(n, 1, 1, 1, 1) + field)
    return changed + NOISE * torch.randn(volumes.shape, generator=generator)


def contrastive_loss(one: Float[Tensor, "n d"], other: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the mean loss NT-Xent: each view must find the other of its volume among all views.

    With s the cosines divided by the temperature, it is the cross-entropy of the softmax of s over all
    other views.
    """
    both = nn.functional.normalize(torch.cat([one, other]), dim=1)
    s = both @ both.T / TEMPERATURE
    s.fill_diagonal_(-torch.inf)
    partner = torch.arange(2 * len(one)).roll(len(one))
    return nn.functional.cross_entropy(s, partner)


def trained(
    volumes: Float[Tensor, "n 1 i j k"], lengths: Sequence[int], seed: int
) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """Train an encoder with its projection; yield the weights of :func:`on_projection` after some epochs.

    An epoch is one step on two views of every volume. The head is left as it was drawn.

    Parameters
    ----------
    volumes
        The training set, small enough for one batch.
    lengths
        Numbers of epochs, in ascending order.
    seed
        Of the weights and the views.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer(seed, "weights"))
        network = on_projection()
    generator = torch.Generator().manual_seed(seeds.integer(seed, "views"))
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    done = 0
    with progress("contrastive training", lengths[-1]) as advance:
        for length in lengths:
            network.train()
            for _ in range(done, length):
                views = [network.embedding(view_of(volumes, generator)) for _ in range(2)]
                optimizer.zero_grad(set_to_none=True)
                contrastive_loss(*views).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                advance(1)
            done = length
            yield length, {name: value.detach().clone() for name, value in network.state_dict().items()}
