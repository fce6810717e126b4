"""The base class of defences, and the objects that a defence receives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from memberscan.models.gradients import sample_gradients
from memberscan.models.regressor import AgeRegressor

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int

    from memberscan.cohort import Cohort


@dataclass(frozen=True)
class TrainingSize:
    """How long a training is, and on how many people; all of it is taken to be public.

    Parameters
    ----------
    people, scans
        Number of people, and of their scans, in the training set.
    batch_size
        Number of scans of a step; of people, where a defence draws people.
    epochs
        Number of epochs of the whole training; in a federation, of all rounds together.
    """

    people: int
    scans: int
    batch_size: int
    epochs: int


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a training: a batch, before the optimizer moves the weights.

    Parameters
    ----------
    model
        In training mode; the gradients of its parameters are empty.
    inputs, targets
        The batch, and its standardised labels. A defence that draws people at random may draw nobody.
    people
        Whose scan each row is: the place of the person among all that are trained on.
    size
        Of the whole training.
    epoch
        Number of epochs before this one.
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
    people: Int[Tensor, " n"]
    size: TrainingSize
    epoch: int
    autocast: torch.autocast
    generator: torch.Generator

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
    round, rounds
        Number of this round, from 1, and of all rounds.
    generator
        Random numbers of the defence, on the parameters' device.
    """

    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    scans: int
    round: int
    rounds: int
    generator: torch.Generator

    def sending(self, parameters: Mapping[str, Tensor]) -> Update:
        """Return the update with other parameters to send."""
        return replace(self, after={**self.after, **parameters})


@dataclass(frozen=True)
class Guarantee:
    """What a defence guarantees.

    Parameters
    ----------
    statement
        The guarantee in one sentence, with its numbers.
    enforced_by
        Who applied the defence, and must be trusted for the statement to hold.
    epsilon, delta
        Of differential privacy for each person under adding or removing that person; None for another kind
        of guarantee.
    """

    statement: str
    enforced_by: str
    epsilon: float | None = None
    delta: float | None = None


class Defence:
    """A defence that changes nothing; sub-classes override what they change, and state their guarantee.

    Attributes
    ----------
    keeps_people_apart
        Whether each row of a prepared step still depends on one person only.
    strengths
        Parameters of the points that ``memberscan frontier`` trains, such as ``("scale=0.1", "scale=1")``; by
        default one point with the default parameters.
    """

    keeps_people_apart: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ("",)

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:
        """Raise :class:`~memberscan.errors.ModelError` if this model cannot be trained with the defence."""

    def moments(self, own: Mapping[str, Tensor], cohort: Cohort) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return the moments that set the model's scale, in place of those of the people trained on."""
        return own

    def batches(
        self,
        people: Int[np.ndarray, " scans"],  # noqa: ARG002
        size: TrainingSize,  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Sequence[Int[np.ndarray, " n"]] | None:
        """Return the places of the scans of each step of an epoch; None for all scans in random order.

        Parameters
        ----------
        people
            Whose scan each is, as in :class:`Step`.
        size
            Of the whole training.
        rng
            Random numbers of the defence; secret, as those of steps are.
        """
        return None

    def prepared(self, step: Step) -> Step:
        """Return the step with other inputs or targets, before its gradients are taken."""
        return step

    def gradients(self, step: Step) -> Tensor:
        """Set ``grad`` of the model's parameters for this step, and return the batch's mean loss."""
        return mean_gradient(step)

    def update(self, update: Update) -> Mapping[str, Tensor]:
        """Return the parameters that a learner sends after its local epochs."""
        return update.after

    def finished(self, model: AgeRegressor, generator: torch.Generator) -> None:
        """Change a finished model, before its weights are written."""

    def guarantee(self, size: TrainingSize) -> Guarantee | None:  # noqa: ARG002
        """Return the guarantee after a training of this size, or None if there is none."""
        return None


def generator_of(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of random numbers on a device."""
    return torch.Generator(device).manual_seed(seed)
