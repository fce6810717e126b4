"""Differential privacy for each site of a federation: clipped updates, and noise on their sum at the server.

Source: McMahan, Ramage, Talwar and Zhang, "Learning Differentially Private Recurrent Language Models" (ICLR
2018), with all sites in every round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field

from memberscan import seeds
from memberscan.configuration import configuration
from memberscan.defences.accountant import epsilon_of
from memberscan.defences.canary_updates import coins, directions, flat, shaped
from memberscan.defences.clipped_noise import ClippedNoise
from memberscan.defences.defence import Merge, TrainingSize, generator_of
from memberscan.errors import BadInputError, ModelError
from memberscan.guarantee import Guarantee

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor

FEWEST, MOST = 10, 2_000
"""Numbers of canary updates that are accepted, as of canaries of a training."""
_WEIGHTS_FOR_EACH = 10
_TOO_LONG = 10.0


@configuration
class SiteNoise(ClippedNoise):
    """Differential privacy for each site, by clipped updates and Gaussian noise at the server.

    The server clips the update of each site to the length ``clip``, adds Gaussian noise of standard deviation
    noise x clip to their sum, and divides by the number of sites that took part. All sites count alike,
    whatever number of scans they have.

    Parameters
    ----------
    epsilon, noise, center, spread, feature_center, feature_spread
        As of :class:`.ClippedNoise`.
    delta
        Probability with which the guarantee may fail.
    clip
        Greatest length of an update.
    canaries
        Number of canary updates, from which an audit reads epsilon back; 0 for none.
    """

    name: ClassVar[str] = "site-noise"
    strengths: ClassVar = ("epsilon=8", "epsilon=100", "epsilon=10000")

    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    canaries: Annotated[int, Field(ge=0, le=MOST)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.canaries < FEWEST:
            raise BadInputError(f"canaries is {self.canaries}; give {FEWEST} or more, or 0 for none")

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        super().require(model, cohort)
        # Buffers are averaged as they are: the running statistics of a norm would reach everybody.
        if kept := sorted({name for name, _ in model.named_buffers()} - set(model.fixed_buffers())):
            raise ModelError(
                f"training changes {kept[0]}, to which {self.name} adds no noise; use GroupNorm, or "
                "InstanceNorm without running statistics"
            )
        weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
        if weights < _WEIGHTS_FOR_EACH * self.canaries:
            raise ModelError(
                f"the model has {weights} trainable weights, too few for {self.canaries} canary updates at "
                f"right angles; give canaries={weights // _WEIGHTS_FOR_EACH} or less, or another model"
            )

    def require_training(self, rounds: int | None, *, encrypted: bool = False) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        if rounds is None:
            raise BadInputError(
                f"the defence {self.name!r} hides a site of a federation, and a training in one place has no "
                "sites; use 'dp-sgd', which hides each person"
            )
        if encrypted:
            raise BadInputError(
                f"the defence {self.name!r} needs a server that sees the updates which it clips, and with "
                "secure 'ckks' it sees ciphertexts only; use secure 'none', or 'dp-sgd' at each learner"
            )

    def needs_kept_seed(self) -> bool:
        """Return whether canary updates are planted, which an audit draws again from the seed."""
        return self.canaries > 0

    def merged(self, merge: Merge) -> Mapping[str, Tensor]:
        """Return before + (sum of clipped updates + noise) / number of sites."""
        before = flat(merge.before)
        updates = (flat(model) - before for model in merge.models)
        total = clipped_total(updates, self.clip) + clipped_total(self._planted(merge), self.clip)
        secret = seeds.secret() if merge.seed is None else merge.seed
        generator = generator_of(seeds.unguessable(secret, "site noise", merge.round))
        noise = self._noise(merge.rounds) * self.clip * torch.randn(len(before), generator=generator)
        return shaped(before + (total + noise) / len(merge.models), merge.before)

    def _planted(self, merge: Merge) -> Iterable[Float[Tensor, " p"]]:
        """Yield the canary updates that are in, longer than the clipping norm, so that they test clipping."""
        if merge.seed is None or not self.canaries:
            return
        inside = coins(merge.seed, self.canaries)
        for chosen, unit in zip(inside, directions(merge.seed, self.canaries, merge.before), strict=True):
            if chosen:
                yield _TOO_LONG * self.clip * unit

    def guarantee(self, size: TrainingSize) -> Guarantee:
        """See :class:`~memberscan.defences.defence.Defence`."""
        noise = self._noise(size.rounds)
        epsilon = epsilon_of(noise, 1.0, size.rounds, self.delta)
        return Guarantee(
            f"Differential privacy with epsilon {epsilon:.3g} and delta {self.delta:g} for each site, and so "
            f"for each of its people, whose update is left out of the sums: noise {noise:.3g} times the "
            f"clipping norm in each of {size.rounds} rounds. It holds against those who see global models. "
            "The server sees each update without noise. It assumes that nobody can guess the seed of the "
            "noise, and takes it to be public which sites took part in each round.",
            "the server",
            epsilon,
            self.delta,
        )

    def _noise(self, rounds: int) -> float:
        return self.noise_after(1.0, rounds, self.delta)


def clipped_total(updates: Iterable[Float[Tensor, " p"]], length: float) -> Float[Tensor, " p"] | float:
    """Return the sum of vectors, each scaled down to ``length`` if it is longer; 0 of none."""
    return sum((each * min(1.0, length / max(float(each.norm()), 1e-30)) for each in updates), 0.0)
