"""Check on a few scans that a network's gradients can be computed, before an attack relies on them.

A user's network may turn gradients off in its ``forward``, detach tensors, or hide its layers. An attack on
the remaining gradients sees less than an attacker who repairs the network, and would look as if it failed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from memberscan.models.gradients import capture_slowly, modules_of, parameter_layers
from memberscan.models.heads import head_of
from memberscan.models.inputs import outputs_of

_NUDGE = 1e-2
_ROUNDING = 1e-5
_MEND = "its forward() uses no_grad(), detach(), checkpoint(use_reentrant=True) or leaves torch; change that"


@dataclass(frozen=True)
class GradientTrial:
    """The outcome of the trial.

    Parameters
    ----------
    failure
        Why there are no gradients at all; None if there are.
    cut
        Layers that predictions depend on but that no gradient reaches.
    """

    failure: str | None = None
    cut: tuple[str, ...] = ()

    def obstacle(self, layers: Iterable[str] | None) -> str | None:
        """Return why gradients of these layers, or of all, are incomplete; None if they are complete.

        Parameters
        ----------
        layers
            Module paths; None for all.
        """
        if self.failure is not None:
            return self.failure
        missed = [path for path in self.cut if layers is None or path in layers]
        if not missed:
            return None
        names = ", ".join(path or "the network itself" for path in missed)
        return f"no gradient reaches {names}, though the predictions depend on it: {_MEND}"


def try_gradients(model: nn.Module, inputs: Tensor) -> GradientTrial:
    """Take the gradients of all layers once, on a few scans.

    A gradient of exactly zero is correct if the predictions do not depend on the layer.
    """
    layers = parameter_layers(model)
    if not layers:
        return GradientTrial("the model has no parameters, so it has no gradients")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # checkpoint() warns of what is reported below
            head, labels = head_of(model), None
            if head.outputs != 1:
                # The prediction depends on some of the outputs only, or has no gradient; the loss has one.
                labels = head.wrong(capture_slowly(model, inputs, None).predictions)
            seen = capture_slowly(model, inputs, labels, layers=layers)
    except Exception as error:  # a user's layers may fail in any way
        first = (str(error).splitlines() or [""])[0]
        if "does not require grad" in first:
            return GradientTrial(f"no gradient reaches the model's parameters: {_MEND}")
        return GradientTrial(f"the model's gradients cannot be taken ({type(error).__name__}: {first})")
    if not all(bool(torch.isfinite(rows).all()) for rows in seen.gradients.values()):
        return GradientTrial("the model's gradients are NaN or infinite, as for a square root at zero")
    still = [path for path in layers if not seen.gradients[path].any()]
    return GradientTrial(cut=tuple(path for path in still if _matters(model, inputs, path)))


def try_activation(model: nn.Module, inputs: Tensor, path: str) -> str | None:
    """Return why a layer's inputs cannot be recorded, or None if they can."""
    try:
        capture_slowly(model, inputs, None, entering=[path])
    except Exception as error:  # a user's layers may fail in any way
        return (
            f"the inputs of the model's layer {path} cannot be recorded ({type(error).__name__}: {error}); "
            "call it as a module, outside TorchScript"
        )
    return None


@torch.no_grad()
def _matters(model: nn.Module, inputs: Tensor, path: str) -> bool:
    """Return whether outputs change with a layer's own parameters, which are restored afterwards."""
    scans = inputs.tensor_split(len(inputs))
    before = torch.cat([outputs_of(model, x) for x in scans]).double()
    generator = torch.Generator().manual_seed(0)
    own = modules_of(model)[path].parameters(recurse=False)
    kept = {p: p.detach().clone() for p in own if p.is_floating_point()}
    try:
        for p, value in kept.items():
            size = value.square().mean().sqrt().clamp_min(_NUDGE)
            noise = torch.randn(value.shape, generator=generator).to(value)
            p.copy_(value + _NUDGE * size * noise)
        moved = torch.cat([outputs_of(model, x) for x in scans]).double() - before
    finally:
        for p, value in kept.items():
            p.copy_(value)
    return bool((moved.abs() > _ROUNDING * before.abs().clamp_min(1)).any())
