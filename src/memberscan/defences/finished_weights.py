"""Which parameters of a finished model are pruned and quantized."""

from __future__ import annotations

from torch import nn


def weights_of(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights of linear, convolution and similar layers, in the model's order.

    Parameters with less than two axes, which are biases and the scales of norms, are left out, and so are
    buffers: they are few, and the literature leaves them as they are.
    """
    return [p for p in model.parameters() if p.dim() > 1 and p.is_floating_point()]
