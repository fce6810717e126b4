"""Per-sample gradients of one layer's parameters, from its inputs and the gradients of its outputs."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


_SLABS = 4
# See _is_small.
_FEW_VALUES = 20480


@singledispatch
def parameter_gradients(
    layer: nn.Module, inputs: Float[Tensor, "rows ..."], outputs: Float[Tensor, "rows ..."], count: int
) -> Float[Tensor, "count p"]:
    """Return each sample's gradient with respect to a layer's own parameters.

    This is the rule for any layer: its own backward pass, one sample at a time. Cheaper rules for common
    layers are registered below.

    Parameters
    ----------
    layer
        A module with parameters of its own and none in sub-modules, in evaluation mode.
    inputs
        Inputs of the layer.
    outputs
        Gradient of each sample's loss with respect to the layer's outputs.
    count
        Number of samples n. If a model folds another axis into the batch, there are n k rows; the k rows of a
        sample follow each other, and their gradients are summed.

    Returns
    -------
    Tensor
        One row per sample: the parameters in the layer's order, flattened and concatenated.
    """
    parameters = tuple(layer.parameters(recurse=False))
    rows = []
    for x, g in zip(inputs.chunk(count), outputs.chunk(count), strict=True):
        with torch.enable_grad():
            leaves = [p.detach().requires_grad_() for p in parameters]
            names = [name for name, _ in layer.named_parameters(recurse=False)]
            out = torch.func.functional_call(layer, dict(zip(names, leaves, strict=True)), (x,))
        rows.append(_flat(torch.autograd.grad(out, leaves, g)))
    return torch.stack(rows)


@parameter_gradients.register
def _(layer: nn.Linear, inputs: Tensor, outputs: Tensor, count: int) -> Tensor:
    x = inputs.reshape(count, -1, layer.in_features)
    g = outputs.reshape(count, -1, layer.out_features)
    weight = torch.einsum("nro,nri->noi", g, x).flatten(1)
    return weight if layer.bias is None else torch.cat([weight, g.sum(1)], dim=1)


@parameter_gradients.register(nn.Conv1d)
@parameter_gradients.register(nn.Conv2d)
@parameter_gradients.register(nn.Conv3d)
def _convolution(layer: nn.Conv3d, inputs: Tensor, outputs: Tensor, count: int) -> Tensor:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return parameter_gradients.dispatch(nn.Module)(layer, inputs, outputs, count)
    if _is_pointwise(layer):
        return _pointwise(layer, inputs, outputs, count)
    if _is_first_layer(layer) and inputs.device.type == "cpu":
        return _first_layer(layer, inputs, outputs, count)
    if len(inputs) == count and _is_small(inputs):
        return _in_groups(layer, inputs, outputs)
    pairs = zip(inputs.chunk(count), outputs.chunk(count), strict=True)
    return torch.stack([_flat(_backward(layer, x, g, layer.weight)) for x, g in pairs])


def _backward(layer: nn.Conv3d, x: Tensor, g: Tensor, weight: Tensor, samples: int = 1) -> tuple[Tensor, ...]:
    """Return the gradients of a convolution's weight and bias, from its input and its output's gradient."""
    has_bias = layer.bias is not None
    # The mask requests only the gradients of weight and bias; the gradient of the input is already known.
    _, *gradients = torch.ops.aten.convolution_backward(
        g,
        x,
        weight,
        [len(weight)] if has_bias else None,
        layer.stride,
        layer.padding,
        layer.dilation,
        False,
        [0] * len(layer.kernel_size),
        layer.groups * samples,
        [False, True, has_bias],
    )
    return tuple(gradients[: 1 + has_bias])


def _is_small(inputs: Tensor) -> bool:
    """Return whether PyTorch computes a convolution of one sample on a CPU without oneDNN, far more slowly.

    It does so for one sample with at most 20,480 values in the first four axes (``ConvParams::use_mkldnn`` in
    ATen), unless the convolution has groups.
    """
    return inputs.device.type == "cpu" and math.prod(inputs.shape[1:4]) <= _FEW_VALUES


def _in_groups(layer: nn.Conv3d, inputs: Tensor, outputs: Tensor) -> Tensor:
    """Do one convolution in which each sample is a group of channels, so that no weights are shared."""
    count = len(inputs)
    weight = layer.weight.repeat(count, *[1] * (layer.weight.ndim - 1))
    gradients = _backward(layer, inputs.flatten(0, 1)[None], outputs.flatten(0, 1)[None], weight, count)
    return torch.cat([each.reshape(count, -1) for each in gradients], dim=1)


def _is_pointwise(layer: nn.Conv3d) -> bool:
    """Return whether a convolution multiplies every position by the same matrix, and does nothing else."""
    each = set(layer.kernel_size) == set(layer.stride) == {1}
    return each and set(layer.padding) == {0} and layer.groups == 1


def _pointwise(layer: nn.Conv3d, inputs: Tensor, outputs: Tensor, count: int) -> Tensor:
    """A 1x1 convolution is a matrix product over positions."""
    x = inputs.reshape(count, -1, *inputs.shape[1:]).flatten(3)
    g = outputs.reshape(count, -1, *outputs.shape[1:]).flatten(3)
    weight = torch.einsum("nrov,nriv->noi", g, x).flatten(1)
    return weight if layer.bias is None else torch.cat([weight, g.sum(dim=(1, 3))], dim=1)


def _is_first_layer(layer: nn.Conv3d) -> bool:
    """Return whether a layer reads one input channel with stride one, as a first layer does."""
    plain = set(layer.stride) == {1} and set(layer.dilation) == {1}
    return isinstance(layer, nn.Conv3d) and layer.in_channels == 1 and plain


def _first_layer(layer: nn.Conv3d, inputs: Tensor, outputs: Tensor, count: int) -> Tensor:
    """With one input channel, the weight's gradient is a matrix product over positions, done slab by slab.

    On a CPU, the general convolution takes about twice as long.
    """
    padding = cast("tuple[int, ...]", layer.padding)
    margins = [margin for p in reversed(padding) for margin in (p, p)]
    offsets, taps = tuple(layer.kernel_size), math.prod(layer.kernel_size)
    depth, *plane = outputs.shape[2:]
    rows = []
    for x, g in zip(inputs.chunk(count), outputs.chunk(count), strict=True):
        weight = x.new_zeros(layer.out_channels, taps + 1)
        for volume, upstream in zip(nn.functional.pad(x[:, 0], margins), g, strict=True):
            windows = volume
            for axis, size in enumerate(offsets):
                windows = windows.unfold(axis, size, 1)
            windows = windows.permute(3, 4, 5, 0, 1, 2)
            for start in range(0, depth, _SLABS):
                slabs = min(_SLABS, depth - start)
                # The last row, of ones, gives the bias its gradient.
                columns = x.new_ones(taps + 1, slabs * math.prod(plane))
                columns[:taps].view(*offsets, slabs, *plane).copy_(windows[..., start : start + slabs, :, :])
                weight.addmm_(upstream[:, start : start + slabs].flatten(1), columns.T)
        rows.append(weight)
    stacked = torch.stack(rows)
    flat = stacked[..., :taps].flatten(1)
    return flat if layer.bias is None else torch.cat([flat, stacked[..., taps]], dim=1)


def _flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])
