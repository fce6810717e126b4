"""Heads: what a network's outputs mean for the target, and the loss that they are trained on.

A head has only formulas. The training loop, per-sample gradients and attacks all use them, so another head
(for example a mean and a variance) is one class below, one line in :data:`HEADS`, and a test.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from memberscan.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from torch import Tensor, nn


class Head(ABC):
    """Formulas of one kind of output; they hold in any unit, as long as outputs and targets share it.

    Built-in networks are trained on standardised targets, (y - mean) / spread, and audited in the target's
    own unit (years, for age). :meth:`in_unit` converts outputs from the first to the second.
    """

    name: ClassVar[str]
    outputs: ClassVar[int] = 1
    """Number of outputs of the network per scan."""
    least_loss: ClassVar[float] = float("-inf")
    """Lower bound of the loss; a learner that reports a smaller loss is in error."""

    @abstractmethod
    def loss(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the loss of each scan."""

    @abstractmethod
    def derivative(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Return the derivative of each scan's loss in each of its outputs, in closed form."""

    @abstractmethod
    def prediction(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the target that the outputs predict, in their unit."""

    @abstractmethod
    def in_unit(self, outputs: Float[Tensor, "n k"], mean: Tensor, spread: Tensor) -> Float[Tensor, "n k"]:
        """Convert outputs for standardised targets to the target's own unit."""

    @abstractmethod
    def loss_in_unit(self, loss: float, spread: float) -> float:
        """Convert a mean loss of standardised targets to the target's own unit."""


class SquaredError(Head):
    """One output, the prediction itself; the loss is (y - prediction)^2, in squared units."""

    name = "squared-error"
    least_loss = 0.0

    def loss(self, outputs: Float[Tensor, "n 1"], targets: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """See :class:`Head`."""
        return (outputs[:, 0] - targets) ** 2

    def derivative(self, outputs: Float[Tensor, "n 1"], targets: Float[Tensor, " n"]) -> Float[Tensor, "n 1"]:
        """Return -2 r with the residual r = y - prediction."""
        return 2 * (outputs - targets[:, None])

    def prediction(self, outputs: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        """See :class:`Head`."""
        return outputs[:, 0]

    def in_unit(self, outputs: Float[Tensor, "n 1"], mean: Tensor, spread: Tensor) -> Float[Tensor, "n 1"]:
        """See :class:`Head`."""
        return outputs * spread + mean

    def loss_in_unit(self, loss: float, spread: float) -> float:
        """Return the loss times the squared spread."""
        return loss * spread**2


HEADS: Mapping[str, Head] = MappingProxyType({head.name: head for head in (SquaredError(),)})
"""All heads by name."""


def head_named(name: str) -> Head:
    """Return the head of that name; :class:`ModelError` if there is none."""
    if not isinstance(name, str) or name not in HEADS:
        raise ModelError(f"head {name!r} is unknown; choose {' or '.join(HEADS)}")
    return HEADS[name]


def loss_derivatives(
    head: Head, outputs: Float[np.ndarray, "n k"], targets: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n k"]:
    """Return :meth:`Head.derivative` of stored outputs, in their precision, for attacks that read arrays."""
    import torch

    return head.derivative(torch.tensor(outputs), torch.tensor(targets)).numpy()


def head_of(model: nn.Module) -> Head:
    """Return a model's head; for a user's own network, whose outputs are ages, squared error."""
    head = getattr(model, "head", None)
    return head if isinstance(head, Head) else HEADS[SquaredError.name]
