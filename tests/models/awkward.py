"""Networks of the kinds that users bring, each awkward for per-sample gradients in a way of its own."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Convolutions(nn.Module):
    """A stack of convolutions, then the mean over positions and a linear output of shape (n, 1)."""

    def __init__(self, *layers: nn.Module, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.output = nn.Linear(width, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.output(self.body(inputs).flatten(2).mean(-1))
        return result


class SharedTwice(nn.Module):
    """One module called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.output = nn.Linear(6, 6), nn.Linear(6, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.output(torch.tanh(self.step(torch.tanh(self.step(inputs)))))
        return result


class TiedWeights(nn.Module):
    """Two modules that share their weight: neither sees the whole gradient of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.output = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 1)
        self.second.weight = self.first.weight

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.output(torch.tanh(self.second(torch.tanh(self.first(inputs)))))
        return result


class Folded(nn.Module):
    """Slices are folded into the batch: those of one sample follow each other, or lie apart."""

    def __init__(self, samples_first: bool) -> None:
        super().__init__()
        self.samples_first = samples_first
        self.conv, self.output = nn.Conv2d(1, 4, 3), nn.Linear(4, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        slices = inputs.squeeze(1)
        slices = slices if self.samples_first else slices.transpose(0, 1)
        features = torch.tanh(self.conv(slices.flatten(0, 1).unsqueeze(1))).mean((2, 3))
        features = features.reshape(*slices.shape[:2], -1).mean(1 if self.samples_first else 0)
        result: Tensor = self.output(features)
        return result


class Unused(nn.Module):
    """A layer that has parameters and takes no part, and one that takes part without changing anything."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.auxiliary, self.discarded = nn.Linear(6, 5), nn.Linear(3, 2), nn.Linear(5, 2)
        self.output = nn.Linear(5, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.tanh(self.hidden(inputs))
        self.discarded(hidden)
        result: Tensor = self.output(hidden)
        return result


class OwnParameter(nn.Module):
    """A parameter of the root module itself, and a call by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((6,), 1.5))
        self.hidden, self.output = nn.Linear(6, 5), nn.Linear(5, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.output(torch.tanh(self.hidden(input=inputs * self.scale)))
        return result


class Attention(nn.Module):
    """A layer whose output is a tuple, and whose own child is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.output = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.unsqueeze(1) * torch.linspace(-1, 1, 4, device=inputs.device)[:, None]
        result: Tensor = self.output(self.attention(rows, rows, rows)[0].mean(1))
        return result


class Mixing(nn.Module):
    """Samples of a batch see each other."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(6, 5), nn.Linear(5, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.hidden(inputs)
        result: Tensor = self.output(torch.tanh(hidden - hidden.mean(0) + inputs.mean(1, keepdim=True)))
        return result


def batch_norm_with_statistics() -> nn.BatchNorm3d:
    """Return a batch norm that has seen data, so that it does something in evaluation mode."""
    norm = nn.BatchNorm3d(4)
    norm.running_mean = torch.linspace(-1, 1, 4)
    norm.running_var = torch.linspace(0.5, 2, 4)
    return norm


def conv(*arguments: int, **options: object) -> nn.Conv3d:
    """Return a 3-D convolution."""
    return nn.Conv3d(*arguments, **options)  # type: ignore[arg-type]


class Forward(nn.Module):
    """Two layers, and a forward pass of one's own."""

    def __init__(self, forward: Callable[[Forward, Tensor], Tensor]) -> None:
        super().__init__()
        self.hidden, self.output, self.how = nn.Linear(6, 5), nn.Linear(5, 1), forward

    def features(self, inputs: Tensor) -> Tensor:
        return torch.tanh(self.hidden(inputs))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.how(self, inputs)


def without_grad(net: Forward, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = net.output(net.features(inputs))
    return result


def in_inference(net: Forward, inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = net.output(net.features(inputs))
    return result


def through_numpy(net: Forward, inputs: Tensor) -> Tensor:
    return torch.from_numpy(net.output(net.features(inputs)).detach().numpy())


def checkpointed(net: Forward, inputs: Tensor, *, reentrant: bool) -> Tensor:
    result: Tensor = net.output(checkpoint(net.features, inputs, use_reentrant=reentrant))
    return result


def scripted() -> nn.Module:
    """Return a TorchScript module whose layers have the names of the others."""
    layers = OrderedDict(hidden=nn.Linear(6, 5), tanh=nn.Tanh(), output=nn.Linear(5, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(nn.Sequential(layers))


VOLUME, VECTOR = (1, 7, 8, 9), (6,)

# Those that give no gradient at all, and those that give one to some layers only, with the layers it misses.
SILENT = {
    "no_grad": Forward(without_grad),
    "inference mode": Forward(in_inference),
    "detached": Forward(lambda net, inputs: net.output(net.features(inputs)).detach()),
    "through numpy": Forward(through_numpy),
    "rounded": Forward(lambda net, inputs: net.output(net.features(inputs)).round().long()),
}
CUT = {
    "detached features": Forward(lambda net, inputs: net.output(net.features(inputs).detach())),
    "reentrant checkpoint": Forward(partial(checkpointed, reentrant=True)),
}
WHOLE = {
    "checkpoint": Forward(partial(checkpointed, reentrant=False)),
    "in place on its input": Forward(lambda net, inputs: net.output(net.features(inputs.mul_(2)))),
    "double precision": Forward(lambda net, inputs: net.output(net.features(inputs)).double()),
    "TorchScript": scripted(),
    "frozen": Forward(lambda net, inputs: net.output(net.features(inputs))).requires_grad_(False),
}

# Those that the batched route must serve, by name: the network and the shape of one input.
SERVED = {
    "in-place rectifier": (
        Convolutions(conv(1, 4, 3), nn.ReLU(inplace=True), conv(4, 4, 3), nn.ReLU(True), width=4),
        VOLUME,
    ),
    "batch norm": (Convolutions(conv(1, 4, 3), batch_norm_with_statistics(), nn.ReLU(True), width=4), VOLUME),
    "group norm": (Convolutions(conv(1, 4, 3), nn.GroupNorm(2, 4), nn.GELU(), width=4), VOLUME),
    "instance norm": (
        Convolutions(conv(1, 4, 3), nn.InstanceNorm3d(4, affine=True), nn.Tanh(), width=4),
        VOLUME,
    ),
    "layer norm": (nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.SiLU(), nn.Linear(5, 1)), VECTOR),
    "grouped": (Convolutions(conv(1, 4, 3), nn.Tanh(), conv(4, 8, 3, groups=2), nn.Tanh(), width=8), VOLUME),
    "depthwise": (
        Convolutions(conv(1, 4, 3), nn.Tanh(), conv(4, 4, 3, groups=4), nn.Tanh(), width=4),
        VOLUME,
    ),
    "pointwise grouped": (
        Convolutions(conv(1, 4, 3), nn.Tanh(), conv(4, 4, 1, groups=2), nn.Tanh(), width=4),
        VOLUME,
    ),
    "strided": (Convolutions(conv(1, 4, 3, stride=(1, 2, 3), padding=(0, 1, 2)), nn.Tanh(), width=4), VOLUME),
    "dilated": (Convolutions(conv(1, 4, 3, dilation=(1, 2, 3)), nn.Tanh(), width=4), VOLUME),
    "padding same": (Convolutions(conv(1, 4, 3, padding="same"), nn.Tanh(), width=4), VOLUME),
    "padding reflected": (
        Convolutions(conv(1, 4, 3, padding=1, padding_mode="reflect"), nn.Tanh(), width=4),
        VOLUME,
    ),
    "pointwise strided": (Convolutions(conv(1, 4, 1, stride=2), nn.Tanh(), width=4), VOLUME),
    "pointwise padded": (Convolutions(conv(1, 4, 1, padding=1), nn.Tanh(), width=4), VOLUME),
    "pointwise": (
        Convolutions(conv(1, 4, 1), nn.Tanh(), conv(4, 3, 1, bias=False), nn.Tanh(), width=3),
        VOLUME,
    ),
    "no bias": (Convolutions(conv(1, 4, 3, bias=False), nn.Tanh(), width=4), VOLUME),
    "transposed": (Convolutions(nn.ConvTranspose3d(1, 3, 2, stride=2), nn.Tanh(), width=3), VOLUME),
    "1-D": (Convolutions(nn.Conv1d(2, 4, 3), nn.Tanh(), nn.PReLU(4), width=4), (2, 9)),
    "2-D": (Convolutions(nn.Conv2d(1, 4, (3, 2)), nn.ReLU(True), width=4), (1, 7, 8)),
    "shared module": (SharedTwice(), VECTOR),
    "folded by sample": (Folded(samples_first=True), VOLUME),
    "unused layers": (Unused(), VECTOR),
    "output (n, 1, 1)": (nn.Sequential(nn.Linear(6, 1), nn.Unflatten(1, (1, 1))), VECTOR),
}

# Those that it cannot serve, and must be found out.
FOUND_OUT = {
    "folded by slice": (Folded(samples_first=False), VOLUME),
    "tied weights": (TiedWeights(), VECTOR),
    "keyword call": (OwnParameter(), VECTOR),
    "tuple output": (Attention(), VECTOR),
    "mixing samples": (Mixing(), VECTOR),
}
