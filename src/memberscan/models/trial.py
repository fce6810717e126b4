"""Check a network before it is used: it must predict single scans, and its predictions must be repeatable."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from memberscan.errors import MemberscanError, ModelError
from memberscan.models.inputs import predict

_ROUNDING = 1e-4


@torch.no_grad()
def require_predicts(model: nn.Module, inputs: Tensor, source: str, *, tries: int = 3) -> None:
    """Refuse a network whose predictions cannot be audited; ``source`` names it in errors.

    Parameters
    ----------
    model
        In evaluation mode.
    inputs
        A few scans.
    source
        Name of the network in errors.
    tries
        Number of times that the predictions are repeated.

    Raises
    ------
    ModelError
        If it does not run, cannot predict a single scan, or its predictions are not repeatable.
    NotARegressorError
        If its output is not one number per scan.
    """
    shape = tuple(inputs.shape[2:] if inputs.ndim > 2 else inputs.shape[1:])
    first = _run(model, inputs, f"{source} does not run on inputs of shape {shape}")
    together = f"{source} runs on {len(inputs)} scans together but not on one alone"
    _run(model, inputs[:1], f"{together}, as with batch norm without running statistics")
    for _ in range(tries):
        again = predict(model, inputs)
        # Threads may add numbers in a different order, which changes the last digits.
        moved = (again - first).abs() > _ROUNDING * first.abs().clamp_min(1)
        if moved.any():
            one, other = float(first[moved][0]), float(again[moved][0])
            raise ModelError(
                f"{source} predicts {one:.6g} for a scan, but {other:.6g} for the same scan when run "
                "again: something in it is random in evaluation mode, such as "
                "torch.nn.functional.dropout without training=self.training, or it keeps a state; fix its "
                "forward()"
            )


def _run(model: nn.Module, inputs: Tensor, what: str) -> Tensor:
    try:
        return predict(model, inputs)
    except MemberscanError:
        raise
    except Exception as error:  # a user's layers may fail in any way
        kinds = {p.dtype for p in model.parameters() if p.is_floating_point()} - {torch.float32}
        hint = f"; its weights are {kinds.pop()} and scans are float32: return model.float()" if kinds else ""
        if isinstance(error, TypeError) and "positional argument" in str(error):
            hint = "; name what its forward() takes beside the image, in order: --inputs image,sex"
        batch = ", ".join(["n", *map(str, inputs.shape[1:])])
        raise ModelError(
            f"{what} ({type(error).__name__}: {error}); a batch enters as ({batch}), and ages leave as "
            f"(n,){hint}"
        ) from error
