"""Several defences of one training, applied one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memberscan.defences.defence import Defence, Merge, Step, TrainingSize, Update
from memberscan.errors import BadInputError
from memberscan.guarantee import Guarantee

if TYPE_CHECKING:
    import numpy as np
    import torch
    from jaxtyping import Float, Int
    from torch import Tensor

    from memberscan.cohort import Cohort
    from memberscan.defences.answers import Answers
    from memberscan.defences.distillation import Distillation
    from memberscan.models.regressor import AgeRegressor
    from memberscan.target_variable import TargetVariable

_ONLY_ONE = ("teaching", "moments", "step_size", "batches", "gradients")
"""What only one of several defences can decide; they change steps, updates and models one after the other."""


_OF_STEPS = ("labels", "moments", "step_size", "batches", "prepared", "gradients", "restrict")
"""What has no effect where a defence trains teachers and a student."""


def compose(parts: Sequence[Defence]) -> Defence:
    """Return one defence that applies several in their order.

    Raises
    ------
    BadInputError
        If two of them decide the same, or if one changes steps so that the guarantee of another is void.
    """
    if len(parts) <= 1:
        return parts[0] if parts else Defence()
    for hook in _ONLY_ONE:
        if len(deciding := [part for part in parts if overrides(part, hook)]) > 1:
            names = " and ".join(type(part).__name__ for part in deciding)
            raise BadInputError(f"{names} both decide the {hook} of a training; choose one of them")
    for part in parts:
        beside = [other for other in parts if any(overrides(other, hook) for hook in _OF_STEPS)]
        if overrides(part, "teaching") and beside:
            raise BadInputError(
                f"{type(part).__name__} trains teachers and a student without another defence, so "
                f"{type(beside[0]).__name__} would have no effect; choose one of them"
            )
    guards = [part for part in parts if overrides(part, "guarantee")]
    mixing = [part for part in parts if overrides(part, "prepared") and not part.keeps_people_apart]
    if guards and mixing:
        raise BadInputError(
            f"{type(mixing[0]).__name__} mixes people within a step, so the guarantee of "
            f"{type(guards[0]).__name__} would not hold for one person; choose one of them"
        )
    return Composed(tuple(parts))


def overrides(defence: Defence, hook: str) -> bool:
    """Return whether a defence does anything in a hook."""
    return getattr(type(defence), hook) is not getattr(Defence, hook)


class Composed(Defence):
    """Defences that are applied in their order."""

    def __init__(self, parts: Sequence[Defence]) -> None:
        self.parts = parts

    def _deciding(self, hook: str) -> Defence:
        return next((part for part in self.parts if overrides(part, hook)), Defence())

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            part.require(model, cohort)

    def require_training(self, rounds: int | None, *, encrypted: bool = False) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            part.require_training(rounds, encrypted=encrypted)

    def extendable(self) -> bool:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return all(part.extendable() for part in self.parts)

    def teaching(self) -> Distillation | None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return self._deciding("teaching").teaching()

    def needs_kept_seed(self) -> bool:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return any(part.needs_kept_seed() for part in self.parts)

    def needs_held_out(self) -> bool:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return any(part.needs_held_out() for part in self.parts)

    def labels(
        self, own: Float[np.ndarray, " scans"], target: TargetVariable, rng: np.random.Generator | None
    ) -> Float[np.ndarray, " scans"]:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            own = part.labels(own, target, rng)
        return own

    def moments(self, own: Mapping[str, Tensor], cohort: Cohort) -> Mapping[str, Tensor]:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return self._deciding("moments").moments(own, cohort)

    def step_size(self, epoch: int) -> float:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return self._deciding("step_size").step_size(epoch)

    def batches(
        self, people: Int[np.ndarray, " scans"], size: TrainingSize, rng: np.random.Generator
    ) -> Sequence[Int[np.ndarray, " n"]] | None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return self._deciding("batches").batches(people, size, rng)

    def prepared(self, step: Step) -> Step:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            step = part.prepared(step)
        return step

    def gradients(self, step: Step) -> Tensor:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return self._deciding("gradients").gradients(step)

    def restrict(self, step: Step) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            part.restrict(step)

    def update(self, update: Update) -> Mapping[str, Tensor]:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            update = update.sending(part.update(update))
        return update.after

    def merged(self, merge: Merge) -> Mapping[str, Tensor]:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            merge = merge.giving(part.merged(merge))
        return merge.average

    def finishes(self) -> bool:
        """See :class:`.Defence`."""
        return any(part.finishes() for part in self.parts)

    def finished(self, model: AgeRegressor, generator: torch.Generator) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for part in self.parts:
            part.finished(model, generator)

    def answered(self, answers: Answers) -> Float[np.ndarray, " n"]:
        """See :class:`~memberscan.defences.defence.Defence`."""
        for place, part in enumerate(self.parts):
            # Two parts that draw noise must not draw the same.
            answers = replace(answers, values=part.answered(replace(answers, place=place)))
        return answers.values

    def changes_answers(self) -> str:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return " ".join(part.changes_answers() for part in self.parts if overrides(part, "answered"))

    def guarantee(self, size: TrainingSize) -> Guarantee | None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        # A guarantee about labels must not hide one about people.
        found = [stated for part in self.parts if (stated := part.guarantee(size)) is not None]
        if not found:
            return None
        of_people = next((stated for stated in found if stated.epsilon is not None), found[0])
        return replace(of_people, statement=" ".join(stated.statement for stated in found))

    def gaussian_noise(self) -> bool:
        """See :class:`~memberscan.defences.defence.Defence`."""
        return any(part.gaussian_noise() for part in self.parts)
