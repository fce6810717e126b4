"""The base class of defences, and the objects that a defence receives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from memberscan.guarantee import Guarantee
from memberscan.models.gradients import sample_gradients
from memberscan.models.regressor import AgeRegressor

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int

    from memberscan.cohort import Cohort
    from memberscan.defences.answers import Answers
    from memberscan.defences.distillation import Distillation
    from memberscan.target_variable import TargetVariable


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
    rounds
        Number of rounds of a federation, which have the same number of epochs; 1 for a training in one place.
    held_out
        Number of scans of the people with the role validation.
    """

    people: int
    scans: int
    batch_size: int
    epochs: int
    rounds: int = 1
    held_out: int = 0


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

    @property
    def round(self) -> int:
        """Number of the round of a federation, from 1."""
        return self.epoch // (self.size.epochs // self.size.rounds) + 1

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
        Trainable parameters of the model by name, as received and after the local epochs.
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


@dataclass(frozen=True, eq=False)
class Merge:
    """The models of one round, as a server that sees them holds them.

    Parameters
    ----------
    models
        Trainable parameters by name, of each learner that took part.
    average
        Their average, weighted by scans: the next global model.
    before
        The global model that the learners began with.
    round, rounds
        Number of this round, from 1, and of all rounds.
    seed
        Of the server's random numbers, the same in every round, and secret as that of a training is. None at
        the server of a deployed federation, which keeps no seed from one start to the next.
    """

    models: Sequence[Mapping[str, Tensor]]
    average: Mapping[str, Tensor]
    before: Mapping[str, Tensor]
    round: int
    rounds: int
    seed: int | None

    def giving(self, parameters: Mapping[str, Tensor]) -> Merge:
        """Return the merge with other parameters of the next global model."""
        return replace(self, average={**self.average, **parameters})


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

    def require_training(self, rounds: int | None, *, encrypted: bool = False) -> None:
        """Raise :class:`~memberscan.errors.BadInputError` if the defence cannot be part of such a training.

        Parameters
        ----------
        rounds
            Number of rounds of a federation; None for a training in one place.
        encrypted
            Whether the server of the federation sees ciphertexts only.
        """

    def extendable(self) -> bool:
        """Return whether a finished federation can be continued for more rounds than it was asked for."""
        return True

    def teaching(self) -> Distillation | None:
        """Return how to train teachers on the members, and the model as a student; None without teachers."""
        return None

    def needs_kept_seed(self) -> bool:
        """Return whether a server must keep its seed: one of a simulated federation does, others do not."""
        return False

    def needs_held_out(self) -> bool:
        """Return whether a training needs people with the role validation, whom no model is trained on."""
        return False

    def labels(
        self,
        own: Float[np.ndarray, " scans"],
        target: TargetVariable,  # noqa: ARG002
        rng: np.random.Generator | None,  # noqa: ARG002
    ) -> Float[np.ndarray, " scans"]:
        """Return the labels that a training uses everywhere, in place of those of the people trained on.

        Parameters
        ----------
        own
            The label of each scan that is trained on: in the unit of the target, or the position of a class.
        target
            What is predicted.
        rng
            Random numbers of the defence, secret as those of steps are. Unlike these, they are the same in
            every epoch of a training, so that a scan keeps its label. None at a site of a deployed
            federation, which keeps no seed from one round to the next.
        """
        return own

    def moments(self, own: Mapping[str, Tensor], cohort: Cohort) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Return the moments that set the model's scale, in place of those of the people trained on.

        ``own`` is made of what :meth:`labels` returns.
        """
        return own

    def step_size(self, epoch: int) -> float:  # noqa: ARG002
        """Return a factor of the configured learning rate in an epoch.

        Parameters
        ----------
        epoch
            Number of epochs before this one, in all rounds of a federation together.
        """
        return 1.0

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
            Whose scan each is, as in ``Step``.
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

    def restrict(self, step: Step) -> None:
        """Change the ``grad`` that :meth:`gradients` set, so that chosen weights do not move."""

    def update(self, update: Update) -> Mapping[str, Tensor]:
        """Return the parameters that a learner sends after its local epochs."""
        return update.after

    def merged(self, merge: Merge) -> Mapping[str, Tensor]:
        """Return the parameters of the next global model, at a server that sees the learners' models."""
        return merge.average

    def finished(self, model: AgeRegressor, generator: torch.Generator) -> None:
        """Change a finished model, before its weights are written."""

    def finishes(self) -> bool:
        """Return whether :meth:`finished` changes the model."""
        return type(self).finished is not Defence.finished

    def answered(self, answers: Answers) -> Float[np.ndarray, " n"]:
        """Return what a service answers in place of the model's predictions, in the unit of the target.

        It protects against those who only read answers; whoever has the weights computes the predictions.
        """
        return answers.values

    def changes_answers(self) -> str:
        """Return in a sentence what :meth:`answered` does, for reports."""
        return "Every answer is changed."

    def guarantee(self, size: TrainingSize) -> Guarantee | None:  # noqa: ARG002
        """Return the guarantee after a training of this size, or None if there is none."""
        return None

    def gaussian_noise(self) -> bool:
        """Return whether the epsilon of the guarantee is that of Gaussian noise.

        An audit with canaries may then use bounds that hold for such mechanisms only.
        """
        return False


def generator_of(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of random numbers on a device."""
    return torch.Generator(device).manual_seed(seed)
