"""Per-sample gradients of the loss at the cost of about one training step.

One forward pass records the inputs and outputs of the requested layers. One backward pass, without gradients
of weights, gives the gradient of the loss in each output. A rule for each type of layer then computes the
layer's per-sample gradients from its inputs and this gradient. Layers after the last requested layer cost
nothing more, and layers before the first one need no backward pass.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from memberscan.errors import ModelError
from memberscan.models.heads import head_of
from memberscan.models.inputs import outputs_of
from memberscan.models.layers import parameter_gradients

if TYPE_CHECKING:
    from jaxtyping import Float

_TOLERANCE = 1e-3
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Capture:
    """What was recorded for one batch.

    Parameters
    ----------
    predictions
        What the model says of each scan: see :meth:`.Head.answer`; without labels, its prediction.
    entered
        The input of each watched layer, flattened; of its first call, if a model calls it more than once.
    gradients
        Per-sample gradients by layer, in the requested order.
    outputs
        The head's outputs, in the target's unit.
    losses
        The head's losses at the labels; None without labels.
    """

    predictions: Float[Tensor, " n"]
    entered: Mapping[str, Float[Tensor, "n d"]]
    gradients: Mapping[str, Float[Tensor, "n p"]]
    outputs: Float[Tensor, "n k"]
    losses: Float[Tensor, " n"] | None


@dataclass(frozen=True)
class _Call:
    """One call of a watched layer: its inputs, and the place of its output in the graph."""

    entered: Tensor
    left: GradientEdge | None


def parameter_layers(model: nn.Module) -> list[str]:
    """Return the module paths of all layers that have parameters of their own."""
    return [path for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return all modules by path; unlike ``get_submodule``, also those of TorchScript."""
    return dict(model.named_modules())


def capture(
    model: nn.Module,
    inputs: Tensor,
    labels: Float[Tensor, " n"] | None,
    *,
    layers: Sequence[str] = (),
    entering: Sequence[str] = (),
) -> Capture:
    """Return predictions, the inputs of the layers ``entering``, and per-sample gradients of ``layers``.

    The gradients are those of each scan's loss, which the model's head defines. For squared error, this is
    -2 r times the gradient of the prediction, with r = label - prediction.

    Parameters
    ----------
    model
        In evaluation mode, without coupling between the samples of a batch: see :func:`agrees_with_autograd`.
    inputs, labels
        A batch; labels in the target's unit, or positions of classes. Without labels, the gradients are those
        of the predictions themselves.
    layers, entering
        Module paths.
    """
    head, kept = head_of(model), []

    def differentiated() -> tuple[Tensor, Tensor]:
        outputs = outputs_of(model, inputs)
        kept.append(outputs.detach())
        if labels is None:
            predictions = head.prediction(outputs)
            return predictions, torch.ones_like(predictions)
        return outputs, head.derivative(outputs.detach(), labels)

    with _recording(model, layers, entering) as calls:
        _, gradients = _backward(model, differentiated, layers, calls)
    outputs = kept[0]
    entered = {path: _entered(calls, path).reshape(len(outputs), -1) for path in entering}
    losses = None if labels is None else head.loss(outputs, labels)
    answers = head.prediction(outputs) if labels is None else head.answer(outputs, labels)
    return Capture(answers, entered, gradients, outputs, losses)


def sample_gradients(
    model: nn.Module,
    outputs: Callable[[], Float[Tensor, "n k"]],
    derivative: Callable[[Float[Tensor, "n k"]], Float[Tensor, "n k"]],
) -> tuple[Float[Tensor, "n k"], dict[str, Float[Tensor, "n p"]]]:
    """Return outputs, and per-sample gradients of all layers with parameters, in the model's present mode.

    Parameters
    ----------
    model
        Without coupling between the samples of a batch, as in all built-in models.
    outputs
        Runs the model on a batch.
    derivative
        Returns the derivative of each sample's loss in its outputs, from these outputs.
    """

    def differentiated() -> tuple[Tensor, Tensor]:
        found = outputs()
        return found, derivative(found.detach())

    layers = parameter_layers(model)
    with _recording(model, layers, ()) as calls:
        return _backward(model, differentiated, layers, calls)


def set_gradients(model: nn.Module, gradients: Mapping[str, Float[Tensor, " p"]]) -> None:
    """Write gradients of layers, flattened as by :func:`sample_gradients`, to ``grad`` of the parameters.

    Parameters that are frozen get none, so that the optimizer leaves them as they are.
    """
    modules = modules_of(model)
    for path, flat in gradients.items():
        parameters = list(modules[path].parameters(recurse=False))
        parts = torch.split(flat, [p.numel() for p in parameters])
        for p, part in zip(parameters, parts, strict=True):
            if p.requires_grad:
                p.grad = part.reshape(p.shape).clone()


def _backward(
    model: nn.Module,
    differentiated: Callable[[], tuple[Tensor, Tensor]],
    layers: Sequence[str],
    calls: Mapping[str, Sequence[_Call]],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a model; return the values that are differentiated, and per-sample gradients of ``layers``.

    Parameters
    ----------
    differentiated
        Runs the model; returns values, and the derivative of each sample's loss in its own values.
    calls
        The calls that :func:`_recording` records during the forward pass.
    """
    modules = modules_of(model)
    with _parameters_require_grad(model, False):
        with torch.set_grad_enabled(bool(layers)):
            values, upstream = differentiated()
        watched = [(path, call) for path in layers for call in calls[path]]
        edges = [call.left for _, call in watched]
        # One backward pass for all samples: a layer's output for one sample depends on that sample only, so
        # the gradient of the summed loss in that output is the gradient of the sample's own loss.
        leaving = torch.autograd.grad(values, edges, upstream, allow_unused=True) if edges else ()  # type: ignore[arg-type]
        gradients = {path: _zeros(modules[path], len(values)) for path in layers}
        with torch.no_grad():
            for (path, call), g in zip(watched, leaving, strict=True):
                if g is not None:
                    found = parameter_gradients(
                        modules[path], *_in_one_type(modules[path], call.entered, g), len(values)
                    )
                    gradients[path] = gradients[path] + found
    return values.detach(), gradients


def _in_one_type(layer: nn.Module, entered: Tensor, leaving: Tensor) -> tuple[Tensor, Tensor]:
    """Return a layer's inputs and output gradients in the type of its parameters; autocast uses another."""
    kind = next(layer.parameters(recurse=False)).dtype
    return entered.to(kind) if entered.is_floating_point() else entered, leaving.to(kind)


def capture_slowly(
    model: nn.Module,
    inputs: Tensor,
    labels: Float[Tensor, " n"] | None,
    *,
    layers: Sequence[str] = (),
    entering: Sequence[str] = (),
) -> Capture:
    """Return what :func:`capture` returns, by one full backward pass per sample; correct for every model."""
    modules = modules_of(model)
    parameters = {path: list(modules[path].parameters(recurse=False)) for path in layers}
    asked = [p for group in parameters.values() for p in group]
    parts, head = [], head_of(model)
    with _parameters_require_grad(model, True):
        for place, x in enumerate(inputs.tensor_split(len(inputs))):
            with _recording(model, (), entering) as calls, torch.set_grad_enabled(bool(asked)):
                outputs = outputs_of(model, x)
                answer = loss = head.prediction(outputs)
                if labels is not None:
                    own = labels[place : place + 1]
                    answer, loss = head.answer(outputs, own), head.loss(outputs, own)
            flat = iter(torch.autograd.grad(loss.sum(), asked, materialize_grads=True) if asked else ())
            rows = {
                path: torch.cat([next(flat).flatten() for _ in group]) for path, group in parameters.items()
            }
            entered = {path: _entered(calls, path).reshape(1, -1) for path in entering}
            losses = None if labels is None else loss.detach()
            parts.append(Capture(answer.detach(), entered, rows, outputs.detach(), losses))
    return Capture(
        torch.cat([part.predictions for part in parts]),
        {path: torch.cat([part.entered[path] for part in parts]) for path in entering},
        {path: torch.stack([part.gradients[path] for part in parts]) for path in layers},
        torch.cat([part.outputs for part in parts]),
        None if labels is None else torch.cat([part.losses for part in parts if part.losses is not None]),
    )


def capture_nothing(
    model: nn.Module, inputs: Tensor, labels: Float[Tensor, " n"] | None, *, layers: Sequence[str] = ()
) -> Capture:
    """Return predictions, and NaN as gradients, for a model without gradients."""
    seen, modules = capture(model, inputs, labels), modules_of(model)
    nothing = {path: _zeros(modules[path], len(inputs)) + torch.nan for path in layers}
    return replace(seen, gradients=nothing)


def agrees_with_autograd(
    model: nn.Module, inputs: Tensor, layers: Sequence[str], entering: Sequence[str] = ()
) -> bool:
    """Return whether :func:`capture` is correct for this model, by comparing both ways on a few scans.

    This finds layers that fold their batch differently, take keyword arguments, share parameters, or mix
    samples; use :func:`capture_slowly` for such a model.
    """
    if _both_ways_agree(model, inputs, layers, entering):
        return True
    # A batch and a single scan are rounded differently. Where the two largest values of a max-pooling window
    # are that close, another one receives the gradient, and both ways are right. Double precision decides.
    try:
        with warnings.catch_warnings(action="ignore"):
            precise = copy.deepcopy(model).double()
        return _both_ways_agree(precise, inputs.double(), layers, entering)
    except Exception:  # not every network can be copied, or computes in double precision
        return False


def _both_ways_agree(
    model: nn.Module, inputs: Tensor, layers: Sequence[str], entering: Sequence[str]
) -> bool:
    # At wrong labels, no gradient is lost in the rounding of a prediction that is exact.
    labels = head_of(model).wrong(capture_slowly(model, inputs, None).predictions)
    slow = capture_slowly(model, inputs, labels, layers=layers, entering=entering)
    try:
        fast = capture(model, inputs, labels, layers=layers, entering=entering)
    except Exception:  # a user's layer may fail with hooks in any way; the slow way is used then
        return False
    # A gradient that is zero by construction is only rounding noise in both, so the tolerance is relative to
    # the norm of the gradient over all layers.
    whole = torch.stack([g.norm(dim=1) for g in slow.gradients.values()]).norm(dim=0) if layers else 0.0
    return (
        _close(fast.predictions[:, None], slow.predictions[:, None])
        and all(_close(fast.entered[path], slow.entered[path]) for path in entering)
        and all(_close(fast.gradients[path], slow.gradients[path], _ROUNDING * whole) for path in layers)
    )


def _close(fast: Float[Tensor, "n d"], slow: Float[Tensor, "n d"], floor: Tensor | float = 0.0) -> bool:
    """Return whether each sample's row is equal up to rounding; large rows must not hide a small one."""
    if fast.shape != slow.shape:
        return False
    return bool(((fast - slow).norm(dim=1) <= _TOLERANCE * slow.norm(dim=1) + floor).all())


def _entered(calls: Mapping[str, Sequence[_Call]], path: str) -> Tensor:
    """Return a layer's input in its first call; hooks see no calls in TorchScript and compiled code."""
    if not calls[path]:
        raise ModelError(
            f"the model's layer {path} is never called where memberscan can see it; call it as a module "
            "in forward(), outside TorchScript"
        )
    return calls[path][0].entered


def _zeros(layer: nn.Module, count: int) -> Float[Tensor, "n p"]:
    """Return zero gradients, for a layer that the predictions do not depend on."""
    parameters = list(layer.parameters(recurse=False))
    return parameters[0].new_zeros(count, sum(p.numel() for p in parameters))


@contextlib.contextmanager
def _parameters_require_grad(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Set ``requires_grad`` of all parameters, and restore what the user had set afterwards."""
    changed = [p for p in model.parameters() if p.requires_grad != wanted and p.is_floating_point()]
    for p in changed:
        p.requires_grad_(wanted)
    try:
        yield
    finally:
        for p in changed:
            p.requires_grad_(not wanted)


@contextlib.contextmanager
def _recording(
    model: nn.Module, layers: Sequence[str], entering: Sequence[str]
) -> Iterator[Mapping[str, Sequence[_Call]]]:
    """Record every call of the watched layers; for ``layers``, also the place of the output in the graph.

    Unlike the output tensor, this place does not change if the next layer works in place.
    """
    calls: dict[str, list[_Call]] = {path: [] for path in [*layers, *entering]}

    def root(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # With all parameters frozen, the graph starts at the first requested layer.
        if torch.is_grad_enabled() and not inputs[0].requires_grad:
            return (inputs[0].detach().requires_grad_(), *inputs[1:])
        return inputs

    def recorder(path: str) -> object:
        def record(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            left = get_gradient_edge(output) if path in layers else None
            calls[path].append(_Call(inputs[0].detach(), left))

        return record

    modules = modules_of(model)
    handles = [modules[path].register_forward_pre_hook(root) for path in dict.fromkeys(layers)]
    handles += [modules[path].register_forward_hook(recorder(path)) for path in calls]  # type: ignore[arg-type]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
