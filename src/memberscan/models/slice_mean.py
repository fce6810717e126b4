"""The paper's 2D-slice-mean: one 2-D encoder, averaged over sagittal slices (998,625 parameters)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from memberscan.models.encoder import FULL_WIDTH, ConvEncoder
from memberscan.models.heads import SquaredError
from memberscan.models.regressor import CONV1, CONV6, OUTPUT, AgeRegressor

if TYPE_CHECKING:
    from jaxtyping import Float


class SliceMean(AgeRegressor):
    """Brain age from the mean feature of a volume's sagittal slices.

    Architecture of Gupta, Lam, Ver Steeg and Thompson, "Improved brain age estimation with slice-based set
    networks" (ISBI 2021), as the MIDL 2021 paper audits it.

    Parameters
    ----------
    grid
        Voxels along the three axes; slices are taken along the first (left to right).
    width
        Channels of the first block.
    dropout
        Share of a slice's features dropped, in training only. The paper's is 0.5, with which training on a
        hundred scans is slow.
    head
        Name of the head, which defines what the outputs mean.
    class_count
        Number of classes, for the head "classes".
    """

    landmarks: ClassVar = {CONV1: "encoder.blocks.0.conv", CONV6: "encoder.conv6", OUTPUT: "output"}
    learning_rate: ClassVar = 1e-3

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
        self.encoder = ConvEncoder(tuple(grid)[1:], width)
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Conv2d(self.encoder.features, width, kernel_size=1)
        self.hidden = nn.Linear(width, 2 * width)
        self.relu = nn.ReLU()
        self.output = nn.Linear(2 * width, self.head.outputs)
        nn.init.kaiming_normal_(self.embed.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.hidden.weight, std=0.01)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.output.bias)

    def standard_outputs(self, volumes: Float[Tensor, "n 1 i j k"]) -> Float[Tensor, "n k"]:
        """Return the head's outputs for each volume."""
        count, _, slices = volumes.shape[:3]
        images = volumes.reshape(count * slices, 1, *volumes.shape[3:])
        embedded = self.embed(self.dropout(self.encoder(images)))
        mean = embedded.reshape(count, slices, -1).mean(dim=1)
        result: Tensor = self.output(self.relu(self.hidden(mean)))
        return result
