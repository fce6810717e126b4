"""Heads: what a network's outputs mean for the target, and the loss that they are trained on.

A head has only formulas. The training loop, per-sample gradients and attacks all use them, so another head is
one class below, one line in :data:`HEADS`, and a test.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from memberscan.errors import ModelError
from memberscan.limits import MOST_CLASSES

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
    outputs: int = 1
    """Number of outputs of the network per scan; 0 for as many as an imported network gives."""
    least_loss: ClassVar[float] = float("-inf")
    """Lower bound of the loss; a learner that reports a smaller loss is in error."""
    standardised: ClassVar[bool] = True
    """Whether built-in networks are trained on standardised targets; classes have no mean and spread."""

    @abstractmethod
    def loss(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the loss of each scan."""

    @abstractmethod
    def derivative(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Return the derivative of each scan's loss in each of its outputs, in closed form."""

    @abstractmethod
    def prediction(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the target that the outputs predict, in their unit."""

    def answer(
        self,
        outputs: Float[Tensor, "n k"],
        labels: Float[Tensor, " n"],  # noqa: ARG002
    ) -> Float[Tensor, " n"]:
        """Return what outputs say of the truth: the prediction, or for classes how likely the own one is."""
        return self.prediction(outputs)

    def wrong(self, predictions: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return labels that these predictions miss, at which no gradient is zero."""
        return predictions + 1

    def uncertainty(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"] | None:  # noqa: ARG002
        """Return how uncertain the outputs say that the prediction is; None if they say nothing of it."""
        return None

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


class Gaussian(Head):
    """Two outputs, mean and log variance; the loss is the negative log-likelihood without its constant.

    Source: Nix and Weigend, "Estimating the Mean and Variance of the Target Probability Distribution" (1994).
    """

    name = "gaussian"
    outputs = 2

    def loss(self, outputs: Float[Tensor, "n 2"], targets: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return (r^2 / v + log v) / 2 with the residual r and the variance v."""
        mean, log_variance = outputs.unbind(1)
        return ((targets - mean) ** 2 / log_variance.exp() + log_variance) / 2

    def derivative(self, outputs: Float[Tensor, "n 2"], targets: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
        """Return -r / v and (1 - r^2 / v) / 2."""
        import torch

        mean, log_variance = outputs.unbind(1)
        scaled = (mean - targets) / log_variance.exp()
        return torch.stack([scaled, (1 - scaled * (mean - targets)) / 2], dim=1)

    def prediction(self, outputs: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Return the mean."""
        return outputs[:, 0]

    def uncertainty(self, outputs: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Return the standard deviation, in the unit of the outputs."""
        return (outputs[:, 1] / 2).exp()

    def in_unit(self, outputs: Float[Tensor, "n 2"], mean: Tensor, spread: Tensor) -> Float[Tensor, "n 2"]:
        """See :class:`Head`; a variance is multiplied by the squared spread."""
        import torch

        return torch.stack([outputs[:, 0] * spread + mean, outputs[:, 1] + 2 * spread.log()], dim=1)

    def loss_in_unit(self, loss: float, spread: float) -> float:
        """See :class:`Head`."""
        return loss + math.log(spread)


class Quantiles(Head):
    """Quantiles of the target; the loss is the mean of their pinball losses.

    Source: Koenker and Bassett, "Regression Quantiles" (1978).

    Parameters
    ----------
    levels
        The level of each output, ascending, with 0.5 among them.
    """

    name = "quantiles"
    least_loss = 0.0

    def __init__(self, levels: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> None:
        if 0.5 not in levels or not all(low < high for low, high in pairwise((0.0, *levels, 1.0))):
            raise ModelError(
                f"levels={'/'.join(map(str, levels))}: give the level of each output between 0 and 1, "
                "ascending, with 0.5 among them, such as levels=0.05/0.5/0.95"
            )
        self.levels = tuple(levels)
        self.outputs = len(self.levels)

    def loss(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the mean over levels a of max(a d, (a - 1) d), with d = y - quantile."""
        left = targets[:, None] - outputs
        levels = left.new_tensor(self.levels)
        return (levels * left).maximum((levels - 1) * left).mean(dim=1)

    def derivative(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Return (1 - a) / k where the quantile exceeds the target, else -a / k."""
        levels = outputs.new_tensor(self.levels)
        return ((outputs > targets[:, None]).to(outputs.dtype) - levels) / len(self.levels)

    def prediction(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the median."""
        return outputs[:, self.levels.index(0.5)]

    def uncertainty(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the distance between the outermost quantiles, in the unit of the outputs."""
        return (outputs[:, -1] - outputs[:, 0]).abs()

    def in_unit(self, outputs: Float[Tensor, "n k"], mean: Tensor, spread: Tensor) -> Float[Tensor, "n k"]:
        """See :class:`Head`."""
        return outputs * spread + mean

    def loss_in_unit(self, loss: float, spread: float) -> float:
        """See :class:`Head`."""
        return loss * spread


class Bins(Head):
    """A distribution over bins, as SFCN has; the loss is its divergence from a soft label.

    The outermost two bins are open. The soft label of a target is a normal distribution around it. Source:
    Peng, Gong, Beckmann, Vedaldi and Smith, "Accurate brain age prediction with lightweight deep neural
    networks" (2021), whose 40 bins are of one year. By default, 40 lie between -3 and 3 standard deviations
    of the training targets. In the target's unit, mean and spread then follow the outputs, since the outputs
    themselves have no unit.

    Parameters
    ----------
    first, width
        Lower edge of the first bin, and width of each.
    sd
        Standard deviation of the soft label; by default the width.
    count
        Number of bins; 0 for as many as an imported network gives, whose edges are in the target's unit.
    """

    name = "bins"
    least_loss = 0.0

    def __init__(
        self, first: float = -3.0, width: float = 6 / 40, sd: float | None = None, count: int = 40
    ) -> None:
        sd = width if sd is None else sd
        if not (math.isfinite(first) and 0 < width < math.inf and 0 < sd < math.inf):
            raise ModelError(
                f"first={first:g},width={width:g},sd={sd:g}: give the lower edge of the first bin, and a "
                "width and a standard deviation above 0, such as first=42,width=1"
            )
        self.first, self.width, self.sd, self.outputs = first, width, sd, count

    def loss(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the Kullback-Leibler divergence of the bins' probabilities from the soft label."""
        import torch

        logits, label = self._compared(outputs, targets)
        return torch.xlogy(label, label).sum(dim=1) - (label * logits.log_softmax(dim=1)).sum(dim=1)

    def derivative(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Return probability minus soft label; nothing is trained through mean and spread."""
        import torch

        logits, label = self._compared(outputs, targets)
        found = torch.zeros_like(outputs)
        found[:, : logits.shape[1]] = logits.softmax(dim=1) - label
        return found

    def prediction(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the mean of the distribution."""
        import torch

        logits, mean, spread = self._parts(outputs)
        numbers = torch.arange(logits.shape[1], device=outputs.device, dtype=outputs.dtype)
        centres = self.first + self.width / 2 + self.width * numbers
        return mean + spread * (logits.softmax(dim=1) * centres).sum(dim=1)

    def uncertainty(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the entropy of the distribution, nats."""
        logits, _, _ = self._parts(outputs)
        return -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)

    def in_unit(self, outputs: Float[Tensor, "n 40"], mean: Tensor, spread: Tensor) -> Float[Tensor, "n 42"]:
        """Append mean and spread."""
        import torch

        scale = torch.stack([mean, spread]).to(outputs).expand(len(outputs), 2)
        return torch.cat([outputs, scale], dim=1)

    def loss_in_unit(self, loss: float, spread: float) -> float:  # noqa: ARG002
        """Return the loss, which has no unit."""
        return loss

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, mean and spread; for outputs without the last two, 0 and 1."""
        count = self.outputs or outputs.shape[1]
        logits, rest = outputs[:, :count], outputs[:, count:]
        if rest.shape[1]:
            return logits, rest[:, 0], rest[:, 1]
        return logits, outputs.new_zeros(len(outputs)), outputs.new_ones(len(outputs))

    def _compared(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, and the soft label of each target: the normal distribution's mass in each bin."""
        import torch

        logits, mean, spread = (part.detach() if n else part for n, part in enumerate(self._parts(outputs)))
        numbers = torch.arange(1, logits.shape[1], device=outputs.device, dtype=outputs.dtype)
        inner = self.width * numbers + self.first
        standard = (targets - mean) / spread
        below = torch.special.ndtr((inner - standard[:, None]) / self.sd).to(logits.dtype)
        edges = below.new_zeros(len(below), 1), below.new_ones(len(below), 1)
        return logits, torch.cat([edges[0], below, edges[1]], dim=1).diff(dim=1)


class Classes(Head):
    """A logit for each class; the loss is the cross-entropy, the prediction the position of the likeliest.

    Parameters
    ----------
    count
        Number of classes.
    """

    name = "classes"
    least_loss = 0.0
    standardised = False

    def __init__(self, count: int = 2) -> None:
        if not 2 <= count <= MOST_CLASSES:
            raise ModelError(f"classes={count}: a head tells from 2 to {MOST_CLASSES} classes apart")
        self.outputs = count

    def loss(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return minus the log-probability of the class."""
        return -self.answer(outputs, targets)

    def derivative(self, outputs: Float[Tensor, "n k"], targets: Float[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Return the probabilities, minus 1 at the class."""
        return outputs.softmax(dim=1) - self._at(outputs, targets)

    def prediction(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """See :class:`Head`."""
        return outputs.argmax(dim=1).to(outputs.dtype)

    def wrong(self, predictions: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """See :class:`Head`: the next class."""
        return (predictions + 1) % self.outputs

    def answer(self, outputs: Float[Tensor, "n k"], labels: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the log-probability of each scan's own class.

        With the logit z of the own class and the logarithm s of the sum of exponentials of the others, it is
        -log(1 + e^(s - z)). The log-softmax would lose all digits of probabilities near 1.
        """
        import torch

        at = self._at(outputs, labels).bool()
        own = outputs[at]
        others = outputs.masked_fill(at, float("-inf")).logsumexp(dim=1)
        return -torch.nn.functional.softplus(others - own)

    def uncertainty(self, outputs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the entropy of the probabilities, nats."""
        return -(outputs.softmax(dim=1) * outputs.log_softmax(dim=1)).sum(dim=1)

    def in_unit(self, outputs: Float[Tensor, "n k"], mean: Tensor, spread: Tensor) -> Float[Tensor, "n k"]:  # noqa: ARG002
        """Return the outputs, which have no unit."""
        return outputs

    def loss_in_unit(self, loss: float, spread: float) -> float:  # noqa: ARG002
        """Return the loss, which has no unit."""
        return loss

    def _at(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return 1 at each scan's own class, else 0."""
        import torch

        return torch.nn.functional.one_hot(labels.long(), outputs.shape[1]).to(outputs)


HEADS: Mapping[str, Head] = MappingProxyType(
    {head.name: head for head in (SquaredError(), Gaussian(), Quantiles(), Bins(), Classes())}
)
"""All heads by name, as networks that are trained here have them."""
GIVEN = "memberscan_head"
"""Attribute with the head of an imported network, whose own ``head`` is often a layer."""


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


def given_head(model: nn.Module) -> Head | None:
    """Return the head that :func:`.give_head` gave an imported network; None if it gave none."""
    head = getattr(model, GIVEN, None)
    return head if isinstance(head, Head) else None


def head_of(model: nn.Module) -> Head:
    """Return a model's head; squared error for a user's own network that was given none."""
    head = given_head(model) or getattr(model, "head", None)
    return head if isinstance(head, Head) else HEADS[SquaredError.name]
