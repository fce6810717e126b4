"""Differentially private training: each person's gradient is clipped, and noise hides whether it was there.

Source: Abadi et al., "Deep Learning with Differential Privacy" (CCS 2016), with the person in place of the
example: all scans of a person are clipped as one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from memberscan.configuration import configuration
from memberscan.defences.accountant import Steps, default_delta, epsilon_of
from memberscan.defences.clipped_noise import ClippedNoise
from memberscan.defences.defence import Step, TrainingSize
from memberscan.defences.own_gradients import require_own_gradients
from memberscan.guarantee import Guarantee
from memberscan.models.gradients import parameter_layers, set_gradients

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor

_ROWS_AT_ONCE = 8


@configuration
class DPSGD(ClippedNoise):
    """Differential privacy for each person, by clipped gradients and Gaussian noise.

    A step draws each person independently with probability batch_size / people, so its size varies and it
    may be empty. The gradient of a person is the mean over the person's scans, scaled down to the length
    ``clip`` if it is longer. Gaussian noise of standard deviation noise x clip is added to the sum over
    people, which is divided by the expected number of people.

    Parameters
    ----------
    epsilon, noise, center, spread, feature_center, feature_spread
        As of :class:`.ClippedNoise`.
    delta
        Probability with which the guarantee may fail; by default the largest power of ten below one over the
        number of people.
    clip
        Greatest length of a person's gradient, of standardised labels.
    """

    name: ClassVar[str] = "dp-sgd"
    strengths: ClassVar = ("epsilon=1", "epsilon=8", "epsilon=100", "epsilon=10000")

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        super().require(model, cohort)
        require_own_gradients(model, cohort, self.name)

    def batches(
        self, people: Int[np.ndarray, " scans"], size: TrainingSize, rng: np.random.Generator
    ) -> Sequence[Int[np.ndarray, " n"]]:
        """Draw the people of each step independently, with all of their scans."""
        drawn = rng.random((_steps(size), size.people)) < _rate(size)
        return [np.flatnonzero(inside[people]) for inside in drawn]

    def gradients(self, step: Step) -> Tensor:
        """See :class:`~memberscan.defences.defence.Defence`."""
        total: dict[str, Tensor] = {}
        losses = []
        for part in _by_people(step):
            own, rows = part.sample_gradients()
            for path, clipped in clipped_sum(rows, part.people, self.clip).items():
                total[path] = total[path] + clipped if path in total else clipped
            losses.append(own)
        noise = self._noise(step.size) * self.relative_noise(step.epoch) * self.clip
        expected = _rate(step.size) * step.size.people
        for path, zero in _zeros(step.model).items():
            drawn = torch.empty_like(zero).normal_(generator=step.generator)
            total[path] = (total.get(path, zero) + noise * drawn) / expected
        set_gradients(step.model, total)
        return torch.cat(losses).mean() if losses else torch.zeros((), device=step.inputs.device)

    def relative_noise(self, epoch: int) -> float:  # noqa: ARG002
        """Return the noise in an epoch, counted from 0, divided by that in the first epoch."""
        return 1.0

    def guarantee(self, size: TrainingSize) -> Guarantee:
        """See :class:`~memberscan.defences.defence.Defence`."""
        delta, noise = self._delta(size), self._noise(size)
        epsilon = epsilon_of(noise, _rate(size), self._all_steps(size), delta)
        last = noise * self.relative_noise(size.epochs - 1)
        sizes = f"{noise:.3g}" if last == noise else f"{noise:.3g} (first epoch) to {last:.3g} (last epoch)"
        return Guarantee(
            f"Differential privacy with epsilon {epsilon:.3g} and delta {delta:g} for each person, with all "
            f"scans of that person, who is added or removed: noise {sizes} times the clipping norm in "
            f"each of {size.epochs * _steps(size)} steps, each of which draws a person with probability "
            f"{_rate(size):.3g}. It assumes that nobody can guess the seeds of the noise, and takes the "
            "numbers of people and of scans to be public.",
            "whoever trains",
            epsilon,
            delta,
        )

    def _delta(self, size: TrainingSize) -> float:
        return self.delta or default_delta(size.people)

    def _noise(self, size: TrainingSize) -> float:
        return self.noise_after(_rate(size), self._all_steps(size), self._delta(size))

    def _all_steps(self, size: TrainingSize) -> Steps:
        """Return the number of steps of the whole training, for each relative noise."""
        epochs = Counter(self.relative_noise(epoch) for epoch in range(size.epochs))
        return tuple((factor, count * _steps(size)) for factor, count in epochs.items())


def clipped_sum(
    rows: Mapping[str, Float[Tensor, "n p"]], people: Int[Tensor, " n"], norm: float
) -> dict[str, Float[Tensor, " p"]]:
    """Return the sum over people of their gradients, each of length ``norm`` at most.

    Parameters
    ----------
    rows
        Gradient of each scan, by layer.
    people
        Whose scan each is. A person's gradient is the mean over the scans given here, so all scans of a
        person must be given together.
    norm
        Greatest length over all layers together.
    """
    whose, counts = torch.unique(people, return_inverse=True, return_counts=True)[1:]
    if len(counts) < len(people):
        rows = {path: _mean_by(each, whose, counts) for path, each in rows.items()}
    lengths = torch.stack([each.norm(dim=1) for each in rows.values()]).norm(dim=0)
    factors = (norm / lengths.clamp_min(torch.finfo(lengths.dtype).tiny)).clamp_max(1)
    return {path: factors @ each for path, each in rows.items()}


def _mean_by(rows: Tensor, whose: Tensor, counts: Tensor) -> Tensor:
    total = rows.new_zeros(len(counts), rows.shape[1]).index_add_(0, whose, rows)
    return total / counts[:, None]


def _by_people(step: Step) -> Iterator[Step]:
    """Yield parts of a step with few scans each, so that memory does not grow; nobody's scans are divided."""
    order = torch.argsort(step.people, stable=True)
    counts = torch.unique(step.people, return_counts=True)[1].tolist()
    start = count = 0
    for own in [*counts, None]:
        if count and (own is None or count + own > _ROWS_AT_ONCE):
            part = order[start : start + count]
            yield replace(
                step, inputs=step.inputs[part], targets=step.targets[part], people=step.people[part]
            )
            start, count = start + count, 0
        count += own or 0


def _zeros(model: nn.Module) -> dict[str, Tensor]:
    """Return a zero gradient of each layer, flattened."""
    modules = dict(model.named_modules())
    return {
        path: torch.cat([torch.zeros_like(p).flatten() for p in modules[path].parameters(recurse=False)])
        for path in parameter_layers(model)
    }


def _rate(size: TrainingSize) -> float:
    return min(1.0, size.batch_size / size.people)


def _steps(size: TrainingSize) -> int:
    """Return the number of steps of an epoch."""
    return math.ceil(size.people / size.batch_size)
