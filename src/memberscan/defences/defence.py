"""The base class of defences, and the objects that a defence receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from memberscan.models.gradients import sample_gradients
from memberscan.models.regressor import AgeRegressor

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a training: a batch, before the optimizer moves the weights.

    Parameters
    ----------
    model
        In training mode; the gradients of its parameters are empty.
    inputs, targets
        The batch, and its standardised ages.
    scans
        Number of scans in the whole training set.
    autocast
        The precision of forward passes.
    generator
        Random numbers of the defence, on the model's device. The seed is secret unless the user gave one, and
        is kept with the request, so that an interrupted training ends in the same weights. It is not
        cryptographically secure: an attacker who can try four billion seeds finds it.
    """

    model: AgeRegressor
    inputs: Tensor
    targets: Float[Tensor, " n"]
    scans: int
    autocast: torch.autocast
    generator: torch.Generator | None = None

    def outputs(self) -> Float[Tensor, "n k"]:
        """Run the model on the batch."""
        with self.autocast:
            return self.model.standard_outputs(self.inputs).float()

    def sample_gradients(self) -> tuple[Float[Tensor, " n"], dict[str, Float[Tensor, "n p"]]]:
        """Return each scan's loss, and its gradient by layer; :func:`set_gradients` writes their sum back."""
        head = self.model.head
        outputs, gradients = sample_gradients(
            self.model, self.outputs, lambda found: head.derivative(found, self.targets)
        )
        return head.loss(outputs, self.targets), gradients


def mean_gradient(step: Step) -> Tensor:
    """Set ``grad`` of the parameters to the gradient of the mean loss, and return that loss."""
    loss = step.model.head.loss(step.outputs(), step.targets).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


@dataclass(frozen=True, eq=False)
class Update:
    """The model that a learner is about to send.

    Parameters
    ----------
    before, after
        Parameters of the model by name, as received and after the local epochs.
    scans
        Number of scans that the learner trained on.
    generator
        Random numbers of the defence, on the parameters' device.
    """

    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    scans: int
    generator: torch.Generator


@dataclass(frozen=True)
class Guarantee:
    """What a defence guarantees.

    Parameters
    ----------
    statement
        The guarantee in one sentence, with its numbers.
    enforced_by
        Who applied the defence, and must be trusted for the statement to hold.
    """

    statement: str
    enforced_by: str


class Defence:
    """A defence that changes nothing; sub-classes override what they change, and state their guarantee."""

    def gradients(self, step: Step) -> Tensor:
        """Set ``grad`` of the model's parameters for this step, and return the batch's mean loss."""
        return mean_gradient(step)

    def update(self, update: Update) -> Mapping[str, Tensor]:
        """Return the parameters that a learner sends after its local epochs."""
        return update.after

    def finished(self, model: AgeRegressor, generator: torch.Generator) -> None:
        """Change a finished model, before its weights are written."""

    def guarantee(self, *, scans: int, batch_size: int, epochs: int) -> Guarantee | None:  # noqa: ARG002
        """Return the guarantee after this training, or None if there is none."""
        return None


def generator_of(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of random numbers on a device."""
    return torch.Generator(device).manual_seed(seed)
