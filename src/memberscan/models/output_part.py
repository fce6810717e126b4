"""Choose which part of a network's output is the prediction, for one that returns several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from memberscan.errors import NotARegressorError


def choose_output(network: nn.Module, part: str) -> nn.Module:
    """Let a network return only one part of its output.

    Names and weights of the network do not change, since the part is taken by a hook and not by a wrapper.

    Parameters
    ----------
    network
        The network, which is changed.
    part
        Key of a dictionary, attribute, place in a tuple or list, or column of a tensor with one row for each
        scan, counted from 0; parts of parts are separated by dots, as in ``heads.age``. "" chooses nothing.

    Raises
    ------
    NotARegressorError
        When the network is run and has no such part.
    """
    if part:
        network.register_forward_hook(lambda module, inputs, output: _part(output, part))  # noqa: ARG005
    return network


def _part(output: Any, part: str) -> Any:
    for name in part.split("."):
        try:
            output = _one(output, name)
        except (KeyError, IndexError, AttributeError, ValueError, TypeError) as error:
            raise NotARegressorError(
                f"the output of the model has no part {part!r} (--output); it is {described(output)}"
            ) from error
    return output


def _one(output: Any, name: str) -> Any:
    if isinstance(output, Mapping):
        return output[name] if name in output else output[int(name)]
    if isinstance(output, Tensor):
        if output.ndim < 2:
            raise IndexError(name)
        return output[:, int(name)]
    if isinstance(output, (tuple, list)) and name.lstrip("-").isdecimal():
        return output[int(name)]
    # Named tuples and data classes.
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(output, name)


def described(output: Any) -> str:
    """Return what an output is, with the names of its parts, for messages."""
    if isinstance(output, Mapping):
        return f"a dictionary with the keys {', '.join(map(str, output))}"
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {len(output)} parts, counted from 0"
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"
