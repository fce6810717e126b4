"""Round the weights of a finished model to few values."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence
from memberscan.defences.finished_weights import weights_of
from memberscan.models.regressor import AgeRegressor

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@configuration
class Quantize(Defence):
    """Rounds the weights of a finished model, with one scale for each output channel and no zero point.

    The values are rounded, but stored as float32, so the file is not smaller. Biases, scales of norms and
    buffers are not changed.

    Parameters
    ----------
    bits
        "8" or "4", for whole multiples of a scale from -127 to 127, or from -7 to 7; or "ternary", for a
        scale times -1, 0 or 1.
    """

    strengths: ClassVar = ("bits=8", "bits=4", "bits=ternary")

    bits: Literal["8", "4", "ternary"] = "8"

    @torch.no_grad()
    def finished(self, model: AgeRegressor, generator: torch.Generator) -> None:  # noqa: ARG002
        """Replace the weights by their rounded values."""
        for weight in weights_of(model):
            rows = weight.flatten(1).double()
            found = ternary(rows) if self.bits == "ternary" else multiples(rows, int(self.bits))
            weight.copy_(found.reshape(weight.shape))


def multiples(rows: Float[Tensor, "channels k"], bits: int) -> Float[Tensor, "channels k"]:
    """Round each row to multiples of its largest magnitude divided by 2^(bits - 1) - 1.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference" (2018), here symmetric around zero.
    """
    most = 2 ** (bits - 1) - 1
    scales = rows.abs().amax(dim=1, keepdim=True) / most
    whole = (rows / torch.where(scales > 0, scales, 1.0)).round().clamp(-most, most)
    found: Tensor = scales * whole
    return found


def ternary(rows: Float[Tensor, "channels k"]) -> Float[Tensor, "channels k"]:
    """Replace each row w by the nearest a t with a >= 0 and t in {-1, 0, 1}^k, by least squares.

    The criterion is that of Li, Zhang and Liu, "Ternary Weight Networks" (2016), who approximate its
    solution.
    """
    sizes = rows.abs()
    ordered = sizes.sort(dim=1, descending=True).values
    counts = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    # For given places of the non-zeros, a is their mean magnitude, and the error is |w|^2 - (their sum)^2 /
    # (their number). So the m largest are best for a given number m, and m has the largest sum^2 / m.
    best = (ordered.cumsum(dim=1) ** 2 / counts).argmax(dim=1, keepdim=True)
    chosen = sizes >= ordered.gather(1, best)
    scales = (sizes * chosen).sum(dim=1, keepdim=True) / chosen.sum(dim=1, keepdim=True)
    return scales * rows.sign() * chosen
