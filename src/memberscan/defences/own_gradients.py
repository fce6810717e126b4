"""Which networks give each scan a gradient of its own, as defences need that clip or compare gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from memberscan.errors import ModelError
from memberscan.models.gradients import agrees_with_autograd, parameter_layers
from memberscan.models.inputs import as_inputs

if TYPE_CHECKING:
    from torch import nn

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor

_SCANS = 3


def require_own_gradients(model: AgeRegressor, cohort: Cohort, defence: str) -> None:
    """Refuse a network that mixes scans, or whose gradient of one scan cannot be computed fast.

    Parameters
    ----------
    model
        The network; its mode is kept.
    cohort
        Of the scans on which it is tried.
    defence
        Name of the defence, for the message.

    Raises
    ------
    ModelError
        Naming the layer.
    """
    for path, layer in model.named_modules():
        if _keeps_averages(layer):
            raise ModelError(
                f"{defence} needs a gradient of each scan, and the layer {path} ({type(layer).__name__}) "
                "averages over scans; use GroupNorm, or InstanceNorm without running statistics"
            )
    few, training = as_inputs(cohort, cohort.scans.index[:_SCANS].tolist()), model.training
    fits = agrees_with_autograd(model.eval(), few, parameter_layers(model))
    model.train(training)
    if not fits:
        raise ModelError(
            f"{defence} cannot compute the gradient of each scan in this network: its layers mix scans, "
            "share parameters, hold parameters outside modules, or are not called as modules"
        )


def _keeps_averages(layer: nn.Module) -> bool:
    """Return whether a layer uses averages over scans in training, or keeps them in its buffers."""
    return isinstance(layer, _BatchNorm) or (isinstance(layer, _InstanceNorm) and layer.track_running_stats)
