"""The paper's 3D-CNN: five blocks over the whole volume (2,948,801 parameters at 91x109x91)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from memberscan.models.encoder import FULL_WIDTH, ConvEncoder
from memberscan.models.heads import SquaredError
from memberscan.models.regressor import CONV1, CONV6, OUTPUT, AgeRegressor

if TYPE_CHECKING:
    from jaxtyping import Float


class CNN3D(AgeRegressor):
    """Brain age from a T1-weighted volume by a 3-D convolutional network.

    Architecture of Gupta et al., "Membership Inference Attacks on Deep Regression Models for Neuroimaging"
    (MIDL 2021), as in the authors' public model code; see :class:`~memberscan.models.encoder.ConvEncoder` for
    coarser grids.

    Parameters
    ----------
    grid
        Voxels along the three axes.
    width
        Channels of the first block.
    dropout
        Share of the features dropped before the output, in training only. The paper's is 0.5, with which
        training on a hundred scans is slow.
    head
        Name of the head, which defines what the outputs mean.
    class_count
        Number of classes, for the head "classes".
    """

    landmarks: ClassVar = {CONV1: "encoder.blocks.0.conv", CONV6: "encoder.conv6", OUTPUT: "output"}

    def __init__(
        self,
        grid: Sequence[int],
        *,
        width: int = FULL_WIDTH,
        dropout: float = 0.0,
        head: str = SquaredError.name,
        class_count: int = 2,
    ) -> None:
        super().__init__(head, class_count)
        self.encoder = ConvEncoder(grid, width)
        self.dropout = nn.Dropout3d(dropout)
        self.output = nn.Conv3d(self.encoder.features, self.head.outputs, kernel_size=1)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def standard_outputs(self, volumes: Float[Tensor, "n 1 i j k"]) -> Float[Tensor, "n k"]:
        """Return the head's outputs for each volume."""
        result: Tensor = self.output(self.dropout(self.encoder(volumes)))
        return result.flatten(1)
