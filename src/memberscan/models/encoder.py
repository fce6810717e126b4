"""The convolutional encoder that both target models of the paper use, in two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

from memberscan.errors import ModelError

if TYPE_CHECKING:
    from jaxtyping import Float

FULL_WIDTH = 32
_MULTIPLES = (1, 2, 4, 8, 8)
_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE = {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


def block_count(grid: Sequence[int]) -> int:
    """Return the number of blocks, at most five, whose halvings leave at least two voxels along every axis.

    Instance norm over one or two voxels would remove the signal.
    """
    blocks = 0
    while blocks < len(_MULTIPLES) and min(grid) >> (blocks + 1) >= 2:
        blocks += 1
    if blocks == 0:
        raise ModelError(
            f"the model does not fit a grid of {'x'.join(map(str, grid))}: every axis needs at least "
            "4 voxels; build the cohort with a finer spacing"
        )
    return blocks


class ConvBlock(nn.Sequential):
    """Convolution, instance norm without parameters, pooling that halves every axis, ReLU."""

    def __init__(self, dimensions: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = _CONV[dimensions](channels_in, channels_out, kernel_size=3, padding=1)
        self.norm = _NORM[dimensions](channels_out)
        self.pool = _POOL[dimensions](2)
        self.relu = nn.ReLU(inplace=True)


class ConvEncoder(nn.Module):
    """Up to five :class:`ConvBlock`, then a 1x1 convolution to ``2 width`` features, averaged over the rest.

    Parameters
    ----------
    grid
        Voxels along each of two or three axes; decides how many blocks there are.
    width
        Channels of the first block. The paper's is 32, which gives 32-64-128-256-256 and then 64 channels.
    """

    def __init__(self, grid: Sequence[int], width: int = FULL_WIDTH) -> None:
        super().__init__()
        dimensions = len(grid)
        channels = [1, *(width * m for m in _MULTIPLES[: block_count(grid)])]
        self.features = 2 * width
        self.blocks = nn.Sequential(*(ConvBlock(dimensions, a, b) for a, b in pairwise(channels)))
        self.conv6 = _CONV[dimensions](channels[-1], self.features, kernel_size=1)
        self.norm = _NORM[dimensions](self.features)
        self.relu = nn.ReLU(inplace=True)
        self.average = _AVERAGE[dimensions](1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "n 1 *grid"]) -> Float[Tensor, "n features *ones"]:
        """Return one average feature vector per image; the spatial axes are kept with size one."""
        features: Tensor = self.average(self.relu(self.norm(self.conv6(self.blocks(images)))))
        return features
