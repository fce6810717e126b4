"""Build networks by name and input shape: built-in ones, or a user's by ``package.module:factory``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from memberscan.errors import ModelError, UntrustedCodeError
from memberscan.models.cnn3d import CNN3D
from memberscan.models.given_head import give_head
from memberscan.models.mlp import MLP
from memberscan.models.monai_bundle import PREFIX as MONAI
from memberscan.models.monai_bundle import monai_network
from memberscan.models.network_inputs import NetworkInputs
from memberscan.models.onnx_model import ONNX, OnnxModel
from memberscan.models.output_part import choose_output
from memberscan.models.own_network import OwnNetwork
from memberscan.models.predictor import Predictor
from memberscan.models.regressor import AgeRegressor
from memberscan.models.slice_mean import SliceMean
from memberscan.models.target_head import own_head
from memberscan.user_code import named_function

MODELS: Mapping[str, type[AgeRegressor]] = MappingProxyType(
    {"cnn3d": CNN3D, "slice-mean": SliceMean, "mlp": MLP}
)
MOST_PARAMETERS = 1 << 26
"""Most parameters of a built-in network; the largest of the paper has three million."""
_AXES = {"cnn3d": 3, "slice-mean": 3, "mlp": 1}


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is needed to rebuild a network: plain data, kept in ``run.json``.

    Parameters
    ----------
    name
        A name in :data:`MODELS`, "onnx" for a file of that kind, or ``package.module:factory`` of a user's
        own network.
    shape
        Shape of one input, without batch and channel.
    options
        Keyword arguments of a built-in model; a user's factory takes none.
    output
        Part of a user's network's output that is the prediction, or that its head reads, for
        :func:`.choose_output`; "" for all of it.
    predictor
        Whether the name is that of a user's function that predicts, and not of one that returns a network.
    inputs
        What a user's network gets for each scan; ``shape`` is that of all of it in one array.
    trained_here
        Whether memberscan trains the user's network, so that its output is a standardised age: see
        :class:`.OwnNetwork`.
    head
        What the output of a user's network means, for :func:`.head_from`; "" if it is the
        prediction itself.
    """

    name: str
    shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    predictor: bool = False
    inputs: NetworkInputs = field(default_factory=NetworkInputs)
    trained_here: bool = False
    head: str = ""

    @classmethod
    def to_train(cls, name: str, shape: Sequence[int], options: Mapping[str, Any]) -> ModelSpec:
        """Return a network for training with memberscan: a built-in one, or one of a user's factory.

        Raises
        ------
        ModelError
            If there are options for a factory, which takes none.
        """
        own = ":" in name
        if name == ONNX or name.startswith(MONAI):
            raise ModelError(f"{name!r} can be imported, and not trained here: give a factory of your own")
        head, options = own_head(options) if own else ("", options)
        if own and options:
            raise ModelError(
                f"{name!r} is called without arguments, so {', '.join(options)} cannot be passed to it; set "
                "them in your own function"
            )
        return cls(name, tuple(shape), dict(options), trained_here=own, head=head)

    @property
    def code(self) -> str | None:
        """The name, if it is that of a user's factory, for callers that the user gave it to."""
        return self.name if ":" in self.name else None

    @property
    def reading(self) -> dict[str, str]:
        """How the output of a user's network is read, where it is not the prediction as it is."""
        return {name: how for name, how in (("output", self.output), ("head", self.head)) if how}

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        chosen: dict[str, Any] = dict(self.reading)
        if self.predictor:
            chosen["predictor"] = True
        if self.inputs.covariates:
            chosen["inputs"] = self.inputs.to_dict()
        if self.trained_here:
            chosen["trained_here"] = True
        return {"name": self.name, "shape": list(self.shape), "options": dict(self.options), **chosen}

    def wired(self, network: nn.Module) -> nn.Module:
        """Let a user's network take the inputs, and give the part or the head's outputs, that this says."""
        return self.inputs.give(give_head(choose_output(network, self.output), self.head))


def build(spec: ModelSpec, *, code: str | None = None) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    spec
        The network to build. It may come from a file or a message, so code that it names is not executed.
    code
        ``package.module:factory``, or "onnx", that the user named on the command line or in a call; it may be
        executed.

    Raises
    ------
    UntrustedCodeError
        If the network is made by a factory, or is an ONNX file, and the user did not name it.
    ModelError
        If the name is unknown, the options do not fit, or the model cannot take inputs of this shape.
    """
    if spec.name.startswith(MONAI):
        if code != spec.name:
            raise UntrustedCodeError(
                f"the model is a network of MONAI, {spec.name!r}, with arguments that only a file names; "
                f"if you trust whoever made it, name it yourself: --model {spec.name}"
            )
        return spec.wired(monai_network(spec.name, spec.options))
    if ":" in spec.name:
        if code != spec.name:
            raise UntrustedCodeError(
                f"the model is made by the function {spec.name!r}, whose code would be executed, but only a "
                "file or a message names it; look at the code, and if you trust it, name it yourself: "
                f"--model {spec.name}"
            )
        if spec.predictor:
            function = named_function(spec.name, "predictor", ModelError)
            return spec.wired(Predictor(function, spec.name, several=bool(spec.head)))
        if spec.trained_here:
            return OwnNetwork(choose_output(importable(spec.name), spec.output), spec.name, spec.head)
        return spec.wired(importable(spec.name))
    if spec.name == ONNX:
        if code != ONNX:
            raise UntrustedCodeError(
                "the model is an ONNX file. It holds no code, but decides what ONNX Runtime computes and how "
                "much memory that takes; if you trust whoever made it, say so: --model onnx"
            )
        return spec.wired(OnnxModel())
    if spec.output:
        raise ModelError(
            f"model {spec.name!r} has one output, its prediction: leave out --output {spec.output}"
        )
    if spec.inputs.covariates:
        raise ModelError(f"model {spec.name!r} takes the image alone: leave out --inputs")
    if spec.head:
        raise ModelError(f"model {spec.name!r} takes its head as an option: head={spec.head}")
    if spec.name not in MODELS:
        raise ModelError(
            f"model {spec.name!r} is unknown; choose one of {', '.join(MODELS)}, "
            "give your own as package.module:factory, or onnx for a file of that kind"
        )
    kind = MODELS[spec.name]
    if len(spec.shape) != _AXES[spec.name]:
        needed = "a table of features" if _AXES[spec.name] == 1 else "volumes"
        raise ModelError(
            f"model {spec.name!r} works on {needed}, but an input of this cohort has shape {spec.shape}"
        )
    try:
        if spec.options.get("width", 1) < 1:
            raise ValueError("width must be at least 1")
        with _Limited():
            return kind(spec.shape, **spec.options)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        known = ", ".join(list(inspect.signature(kind.__init__).parameters)[2:])
        raise ModelError(f"model {spec.name!r} takes the options {known}: {error}") from error


_ALLOCATE = (torch.empty, torch.zeros, torch.ones)


class _Limited(TorchFunctionMode):
    """Counts the parameters of a network while it is built, and refuses it before too many are allocated.

    The sizes may come from a file or a message. Layers allocate their parameters by ``torch.empty``, and
    built-in networks allocate their buffers by ``torch.zeros`` and ``torch.ones``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parameters = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in _ALLOCATE:
            self.parameters += math.prod(args[0] if isinstance(args[0], (tuple, list)) else args)
            if self.parameters > MOST_PARAMETERS:
                raise ValueError(f"it would have more than {MOST_PARAMETERS:,} parameters")
        return func(*args, **(kwargs or {}))


def importable(name: str) -> nn.Module:
    """Call a user's factory, given as ``package.module:factory``, and return the network it makes."""
    factory = named_function(name, "model", ModelError)
    try:
        model = factory()
    except Exception as error:
        raise ModelError(
            f"the factory {name!r} failed ({type(error).__name__}: {error}); it is called with no arguments"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"the factory {name!r} returned {type(model).__name__}; it must return a torch.nn.Module"
        )
    if any(nn.parameter.is_lazy(value) for value in (*model.parameters(), *model.buffers())):
        raise ModelError(
            f"the factory {name!r} returned a network with lazy layers, whose sizes are not known yet; run "
            "the network once in the factory, on a scan of zeros"
        )
    return model
