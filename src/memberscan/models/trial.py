"""Check a network before it is used: it must predict single scans, and its predictions must be repeatable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from memberscan.errors import MemberscanError, ModelError
from memberscan.models.inputs import predict

_ROUNDING = 1e-4


@torch.no_grad()
def require_predicts(
    model: nn.Module,
    inputs: Tensor,
    source: str,
    *,
    tries: int = 3,
    apart: Callable[[Tensor], Sequence[Tensor]] = lambda inputs: [inputs],
) -> None:
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
    apart
        Returns what the network itself gets, to describe it in errors.

    Raises
    ------
    ModelError
        If it does not run, cannot predict a single scan, or its predictions are not repeatable.
    NotARegressorError
        If its output is not one number per scan.
    """
    image = next((each for each in apart(inputs) if each.ndim > 2), inputs)
    shape = tuple(image.shape[2:] if image.ndim > 2 else image.shape[1:])
    enter = ", ".join(str(("n", *each.shape[1:])).replace("'", "") for each in apart(inputs))
    first = _run(model, inputs, f"{source} does not run on inputs of shape {shape}", enter)
    together = f"{source} runs on {len(inputs)} scans together but not on one alone"
    _run(model, inputs[:1], f"{together}, as with batch norm without running statistics", enter)
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


def _run(model: nn.Module, inputs: Tensor, what: str, enter: str) -> Tensor:
    try:
        return predict(model, inputs)
    except MemberscanError:
        raise
    except Exception as error:  # a user's layers may fail in any way
        kinds = {p.dtype for p in model.parameters() if p.is_floating_point()} - {torch.float32}
        hint = f"; its weights are {kinds.pop()} and scans are float32: return model.float()" if kinds else ""
        if isinstance(error, TypeError) and "positional argument" in str(error):
            hint = "; name what its forward() takes beside the image, in order: --inputs image,sex"
        raise ModelError(
            f"{what} ({type(error).__name__}: {error}); a batch enters as {enter}, and "
            f"predictions leave as (n,){hint}"
        ) from error
