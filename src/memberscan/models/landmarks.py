"""The named layers of a network: those that it declares, or a guess from its modules."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from memberscan.models.regressor import CONV1, CONV6, OUTPUT

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def landmarks_of(network: nn.Module) -> Mapping[str, str]:
    """Return the paths of a network's first and last convolution and of its output layer, by name.

    They are those in its attribute ``landmarks``. If it has none, they are guessed from the order in which
    its modules were defined: the output layer is the last linear layer with one output, or else the last
    linear layer, or else the last convolution; the convolutions are the first and the last of the others.
    """
    declared: Mapping[str, str] | None = getattr(network, "landmarks", None)
    return _guess(network) if declared is None else declared


def guessed(network: nn.Module) -> bool:
    """Return whether a network declares no landmarks."""
    return getattr(network, "landmarks", None) is None


def _guess(network: nn.Module) -> dict[str, str]:
    layers = {path: module for path, module in network.named_modules() if path}
    linear = [path for path, module in layers.items() if isinstance(module, nn.Linear)]
    single = [path for path in linear if getattr(layers[path], "out_features", 0) == 1]
    convolutions = [path for path, module in layers.items() if isinstance(module, _CONVOLUTIONS)]
    output = (single or linear or convolutions)[-1:]
    others = [path for path in convolutions if path not in output]
    named = zip((CONV1, CONV6, OUTPUT), (others[:1], others[-1:], output), strict=True)
    return {name: path[0] for name, path in named if path}
