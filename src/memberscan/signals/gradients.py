"""Per-sample gradients of the loss at the price of about one training step.

One forward pass records what enters and leaves the asked layers; one backward pass, in which no weight takes part, gives the
gradient of what leaves them; each layer then turns the two into its own per-sample gradient. Layers after the last
one asked for cost nothing more, and the convolutions before the first one asked for need no backward pass at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from memberscan.errors import NotARegressorError
from memberscan.signals.layers import parameter_gradients

if TYPE_CHECKING:
    from jaxtyping import Float

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Capture:
    """What one batch showed: predictions in years, what entered each watched layer, and per-sample gradients by layer."""

    predictions: Float[Tensor, " n"]
    entered: Mapping[str, Float[Tensor, "n d"]]
    gradients: Mapping[str, Float[Tensor, "n p"]]


def predict(model: nn.Module, inputs: Tensor) -> Float[Tensor, " n"]:
    """Run a model and check that it gives one number a scan.

    Raises
    ------
    NotARegressorError
        If it gives another number of values than one a scan, as a classifier does.
    """
    output = model(inputs)
    if not isinstance(output, Tensor) or output.numel() != len(inputs):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise NotARegressorError(
            f"the model gives an output of shape {shape} for {len(inputs)} scans; memberscan audits regressors of age, one "
            "number a scan: a classifier's scores have no residual, and an audit of them would be meaningless"
        )
    return output.flatten()


def parameter_layers(model: nn.Module) -> list[str]:
    """Return the module paths of all layers that have parameters of their own."""
    return [path for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]


def capture(
    model: nn.Module,
    inputs: Tensor,
    ages: Float[Tensor, " n"],
    *,
    layers: Sequence[str] = (),
    entering: Sequence[str] = (),
) -> Capture:
    """Return predictions, what enters the layers ``entering``, and per-sample gradients of ``layers``.

    The loss of a scan is (age - prediction)^2, so its gradient is -2 r times that of the prediction, r = age - prediction.

    Parameters
    ----------
    model
        In evaluation mode, without coupling between the samples of a batch; :func:`agrees_with_autograd` tells.
    inputs, ages
        A batch; ages in years.
    layers, entering
        Module paths.
    """
    watch = dict.fromkeys([*layers, *entering])
    with _frozen(model), _recording(model, list(watch)) as calls:
        with torch.set_grad_enabled(bool(layers)):
            predictions = predict(model, inputs)
        count = len(predictions)
        entered = {path: calls[path][0][0].detach().reshape(count, -1) for path in entering}
        pairs = [(path, x, out) for path in layers for x, out in calls[path]]
        upstream = -2 * (ages - predictions.detach())
        outputs = [out for _, _, out in pairs]
        grads = torch.autograd.grad(predictions, outputs, upstream, allow_unused=True) if pairs else ()
        gradients: dict[str, Tensor] = {}
        with torch.no_grad():
            for (path, x, _), g in zip(pairs, grads, strict=True):
                if g is not None:
                    mine = parameter_gradients(model.get_submodule(path), x.detach(), g, count)
                    gradients[path] = gradients[path] + mine if path in gradients else mine
    return Capture(predictions.detach(), entered, gradients)


def capture_slowly(
    model: nn.Module,
    inputs: Tensor,
    ages: Float[Tensor, " n"],
    *,
    layers: Sequence[str] = (),
    entering: Sequence[str] = (),
) -> Capture:
    """Do as :func:`capture` does, one sample and one full backward pass at a time; right for every model."""
    parts = []
    for x, age in zip(inputs.split(1), ages, strict=True):
        with _recording(model, list(entering), graph=False) as calls, torch.enable_grad():
            prediction = predict(model, x)
            loss = ((age - prediction) ** 2).sum()
            parameters = {path: list(model.get_submodule(path).parameters(recurse=False)) for path in layers}
            asked = [p for group in parameters.values() for p in group]
            flat = iter(torch.autograd.grad(loss, asked, materialize_grads=True) if asked else ())
        rows = {path: torch.cat([next(flat).flatten() for _ in group]) for path, group in parameters.items()}
        parts.append((prediction.detach(), {p: calls[p][0][0].detach().reshape(1, -1) for p in entering}, rows))
    return Capture(
        torch.cat([p for p, _, _ in parts]),
        {path: torch.cat([e[path] for _, e, _ in parts]) for path in entering},
        {path: torch.stack([g[path] for _, _, g in parts]) for path in layers},
    )


def agrees_with_autograd(model: nn.Module, inputs: Tensor, ages: Tensor, layers: Sequence[str]) -> bool:
    """Return whether :func:`capture` is right for this model: a layer that folds its batch another way, works in place on
    what we watch, or mixes samples is found here, and :func:`capture_slowly` serves it."""
    slow = capture_slowly(model, inputs, ages, layers=layers)
    try:
        fast = capture(model, inputs, ages, layers=layers)
    except (RuntimeError, KeyError, ValueError):
        return False
    return all(
        path in fast.gradients
        and fast.gradients[path].shape == g.shape
        and bool(torch.linalg.norm(fast.gradients[path] - g) <= _TOLERANCE * torch.linalg.norm(g))
        for path, g in slow.gradients.items()
    )


@contextlib.contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Let no parameter take part in the backward pass."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


@contextlib.contextmanager
def _recording(
    model: nn.Module, paths: Sequence[str], *, graph: bool = True
) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Record (input, output) of every call of the layers; with ``graph``, the first output becomes a leaf of the graph."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {path: [] for path in paths}

    def recorder(path: str) -> object:
        def record(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if graph and torch.is_grad_enabled() and not output.requires_grad:
                output.requires_grad_()
            calls[path].append((inputs[0], output))

        return record

    handles = [model.get_submodule(path).register_forward_hook(recorder(path)) for path in paths]  # type: ignore[arg-type]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
