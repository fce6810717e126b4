"""Set the smallest weights of a finished model to zero."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence
from memberscan.defences.finished_weights import weights_of
from memberscan.models.regressor import AgeRegressor

_ROUNDING = 1e-9


@configuration
class Prune(Defence):
    """Sets the weights of smallest magnitude of the whole finished model to zero, without more training.

    Source: Han, Pool, Tran and Dally, "Learning both Weights and Connections for Efficient Neural Networks"
    (2015), here with one threshold for all layers and no retraining.

    Parameters
    ----------
    sparsity
        Share of the weights that are set to zero. Biases, scales of norms and buffers are neither changed nor
        counted.
    """

    strengths: ClassVar = ("sparsity=0.5", "sparsity=0.8", "sparsity=0.9")

    sparsity: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @torch.no_grad()
    def finished(self, model: AgeRegressor, generator: torch.Generator) -> None:  # noqa: ARG002
        """Set floor(sparsity n) of the n weights to zero; of equal ones, the first."""
        weights = weights_of(model)
        sizes = torch.cat([weight.abs().flatten() for weight in weights])
        # A share such as .29 may be stored as a slightly smaller number.
        count = int(self.sparsity * len(sizes) + _ROUNDING)
        kept = torch.ones_like(sizes, dtype=torch.bool)
        kept[sizes.argsort(stable=True)[:count]] = False
        for weight, mask in zip(weights, torch.split(kept, [w.numel() for w in weights]), strict=True):
            weight.mul_(mask.reshape(weight.shape))
