"""A model of which only predictions can be had: a function of a user's, whatever computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from memberscan.errors import ModelError

if TYPE_CHECKING:
    from jaxtyping import Float


class Predictor(nn.Module):
    """Calls a function with a batch of inputs as numpy arrays, one for each argument, for its predictions.

    It has no parameters, so that attacks on weights are listed as not run.

    Parameters
    ----------
    function
        From float32 inputs, (n, 1, i, j, k) for volumes or (n, features) for tables, and covariates that it
        takes beside them, (n, 1) each, to n predictions in the unit of the target.
    name
        What it is called in errors.
    several
        Whether it gives several numbers for each scan, (n, k), or a tuple of k arrays, which a head reads.
    """

    def __init__(self, function: Callable[[np.ndarray], Any], name: str, *, several: bool = False) -> None:
        super().__init__()
        self._function = function
        self._name = name
        self._several = several

    def forward(self, *arguments: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Return predictions in the unit of the target, or what a head reads."""
        inputs = arguments[0]
        given = self._function(*(each.detach().cpu().numpy() for each in arguments))
        try:
            if self._several:
                whole = np.column_stack(given) if isinstance(given, tuple) else np.asarray(given)
                return torch.from_numpy(whole.astype(np.float32)).to(inputs.device)
            predictions = np.asarray(given, dtype=np.float32).reshape(-1)
        except (TypeError, ValueError) as error:
            wanted = "the numbers that its head reads" if self._several else "one number"
            raise ModelError(
                f"the predictor {self._name!r} returns a {type(given).__name__}; return {wanted} for each "
                "scan"
            ) from error
        if len(predictions) != len(inputs):
            raise ModelError(
                f"the predictor {self._name!r} returns {len(predictions)} numbers for {len(inputs)} scans; "
                "return one for each"
            )
        return torch.from_numpy(predictions).to(inputs.device)
