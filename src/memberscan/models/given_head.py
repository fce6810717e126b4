"""Heads of imported networks: what their outputs mean, as ``--head`` says in text."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from memberscan.errors import ModelError, NotARegressorError
from memberscan.models.heads import GIVEN, Bins, Classes, Gaussian, Head, Quantiles, given_head, head_named
from memberscan.models.output_part import described

if TYPE_CHECKING:
    from jaxtyping import Float

_SECOND: Mapping[str, int] = MappingProxyType({"log-variance": 0, "variance": 1, "sd": 2})
"""By what the logarithm of each is multiplied for a log variance; 0 for what is one."""
_EXAMPLES = "write it as gaussian:second=sd, quantiles:levels=0.05/0.5/0.95 or bins:first=42,width=1"
_ROUNDING = 1e-3


@dataclass(frozen=True)
class GivenHead:
    """A head, and how the outputs of an imported network become its outputs.

    Gradients pass through the conversion, so that a head has its formulas for one form of the outputs only.

    Parameters
    ----------
    head
        The head.
    convert
        From outputs of the network, (n, k), to outputs of the head.
    also
        Another number of outputs that can be converted.
    """

    head: Head
    convert: Callable[[Tensor], Tensor] = lambda outputs: outputs
    also: int | None = None

    def read(self, output: Any, count: int) -> Float[Tensor, "n k"]:
        """Return the head's outputs for ``count`` scans, from whatever the network returned.

        Raises
        ------
        NotARegressorError
            If it is neither one tensor with k numbers for each scan, nor parts with one number each.
        ModelError
            If there are other than the head's number of outputs, or they have values that it excludes.
        """
        outputs = _columns(output, count)
        name, wanted, found = self.head.name, self.head.outputs, outputs.shape[1]
        if found not in (wanted, self.also) and (wanted or found < 2):
            raise ModelError(
                f"--head {name} reads {wanted or 'two or more'} numbers for each scan, but the network gives "
                f"{found}; give the head that it was trained with, or the part that the head reads (--output)"
            )
        return self.convert(outputs)


def head_from(text: str) -> GivenHead:
    """Read a head as it is written on the command line, such as "bins:first=42,width=1".

    Raises
    ------
    ModelError
        If the head is unknown, or an option is unknown, lacking or not of its form.
    """
    name, _, rest = text.partition(":")
    head = head_named(name)
    make, kinds = _HEADS.get(name, (functools.partial(GivenHead, head), {}))
    values: dict[str, Any] = {}
    for each in rest.split(",") if rest else ():
        key, _, value = (part.strip() for part in each.partition("="))
        if key not in kinds or key in values:
            known = f"its options are {', '.join(kinds)}, each once" if kinds else "it takes none"
            raise ModelError(f"--head {text}: {key!r} is not an option of {name}; {known}")
        try:
            values[key] = kinds[key](value)
        except ValueError as error:
            raise ModelError(f"--head {text}: {key} is {value!r}; {_EXAMPLES}") from error
    needed = inspect.signature(make).parameters.values()
    if lacking := [p.name for p in needed if p.default is p.empty and p.name not in values]:
        raise ModelError(f"--head {text} lacks {' and '.join(lacking)}; {_EXAMPLES}")
    try:
        return make(**values)
    except ModelError as error:
        raise ModelError(f"--head {text}: {error}") from error


def give_head(network: nn.Module, text: str) -> nn.Module:
    """Let an imported network return the outputs of a head, so that :func:`.head_of` finds the head.

    Names and weights of the network do not change, since its output is read by a hook and not by a wrapper.

    Parameters
    ----------
    network
        The network, which is changed.
    text
        See :func:`head_from`; "" gives none.

    Raises
    ------
    ModelError
        If the head does not make sense, or the network has been given one before.
    """
    if text:
        given = head_from(text)
        if given_head(network) is not None:
            # Its output would be converted twice.
            raise ModelError(
                f"--head {text}: the same network was returned before; build a new one in each call of the "
                "function that returns it"
            )
        network.register_forward_hook(lambda module, inputs, output: given.read(output, len(inputs[0])))  # noqa: ARG005
        setattr(network, GIVEN, given.head)
    return network


def _columns(output: Any, count: int) -> Float[Tensor, "n k"]:
    """Return one column for each number; axes of length 1, as pooling leaves them, are dropped."""
    if isinstance(output, Mapping):
        parts = [*output.values()]
    else:
        parts = [*output] if isinstance(output, (tuple, list)) else [output]
    most = math.inf if len(parts) == 1 else count
    if not parts or not all(_is_by_scan(part, count) and part.numel() <= most for part in parts):
        raise NotARegressorError(
            f"the network returns {described(output)} for {count} scans, but a head (--head) reads one "
            "tensor with some numbers for each scan, or parts with one number each; name the part that it "
            "reads (--output)"
        )
    columns = [part.reshape(count, -1) for part in parts]
    whole = torch.cat(columns, dim=1)
    return whole if whole.dtype is torch.float64 else whole.float()


def _is_by_scan(part: Any, count: int) -> bool:
    return (
        isinstance(part, Tensor)
        and part.shape[:1] == (count,)
        and not part.is_complex()
        and sum(size > 1 for size in part.shape[1:]) <= 1
    )


def _gaussian(second: str = "log-variance") -> GivenHead:
    """Return the head of mean and log variance, from a mean and what ``second`` says."""
    if second not in _SECOND:
        raise ModelError(f"second is {second!r}; choose {' or '.join(_SECOND)}")
    factor = _SECOND[second]

    def convert(outputs: Tensor) -> Tensor:
        mean, spread = outputs.unbind(1)
        if not (spread > 0).all():
            raise ModelError(
                f"the network gives {float(spread.min()):.4g} as the {second} of a scan, which must be "
                "positive; if it is a log variance, import with --head gaussian, else do in forward() what "
                "training did to make it positive"
            )
        return torch.stack([mean, factor * spread.log()], dim=1)

    return GivenHead(Gaussian(), convert) if factor else GivenHead(Gaussian())


def _quantiles(levels: tuple[float, ...]) -> GivenHead:
    return GivenHead(Quantiles(levels))


def _bins(first: float, width: float, sd: float | None = None) -> GivenHead:
    """Return the head of bins with these edges, from logits or log-probabilities."""

    def convert(outputs: Tensor) -> Tensor:
        if (outputs >= 0).all() and ((outputs.sum(dim=1) - 1).abs() < _ROUNDING).all():
            raise ModelError(
                "the network gives probabilities, but --head bins reads logits or log-probabilities; return "
                "their logarithm in forward()"
            )
        # With a probability of zero, the divergence and the entropy would not be numbers.
        return outputs.log_softmax(dim=1).clamp_min(math.log(torch.finfo(outputs.dtype).tiny))

    return GivenHead(Bins(first, width, sd, count=0), convert)


def _classes(count: int = 2) -> GivenHead:
    """Return the head of classes, from logits or log-probabilities; or the second one's logit, of two."""

    def convert(outputs: Tensor) -> Tensor:
        if outputs.shape[1] == 1:
            return torch.cat([torch.zeros_like(outputs), outputs], dim=1)
        if (outputs >= 0).all() and ((outputs.sum(dim=1) - 1).abs() < _ROUNDING).all():
            raise ModelError(
                "the network gives probabilities, but --head classes reads logits or log-probabilities; "
                "return what comes before the softmax in forward()"
            )
        return outputs

    return GivenHead(Classes(count), convert, also=1 if count == 2 else None)


def _levels(text: str) -> tuple[float, ...]:
    return tuple(float(level) for level in text.split("/"))


_HEADS: Mapping[str, tuple[Callable[..., GivenHead], Mapping[str, Callable[[str], Any]]]] = MappingProxyType(
    {
        "gaussian": (_gaussian, {"second": str}),
        "quantiles": (_quantiles, {"levels": _levels}),
        "bins": (_bins, {"first": float, "width": float, "sd": float}),
        "classes": (_classes, {"count": int}),
    }
)
"""For each head with options, what makes it of them, and what reads each of them from text."""
