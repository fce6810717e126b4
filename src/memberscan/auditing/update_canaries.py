"""Read the canary updates of a federation back, where the auditor has the server's secret seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from memberscan.defences import DEFENCES, defence_from, parts_of
from memberscan.defences.canary_updates import coins, directions, flat
from memberscan.defences.site_noise import SiteNoise
from memberscan.evidence.canary_bounds import DELTA, CanaryEvidence, canary_evidence
from memberscan.evidence.epsilon_of_fit import epsilon_of_two_normals
from memberscan.files import fingerprint
from memberscan.runs.transcript import ROUNDS, Transcript
from memberscan.threat import Access, Attacker
from memberscan.training.kept_seeds import DEFENCE_SEED, stored_seed

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.runs import Run
    from memberscan.targets import Target


@dataclass(frozen=True)
class UpdateCanaries:
    """The canary updates of a federation.

    Parameters
    ----------
    seed
        Secret of the server, from which directions and coins are drawn.
    count
        How many there are, in and out together.
    """

    seed: int
    count: int

    @property
    def fingerprint(self) -> str:
        """A digest of all of it."""
        return fingerprint([self.seed, self.count])

    @property
    def inside(self) -> Bool[np.ndarray, " canaries"]:
        """Whether each was added to the sums."""
        return coins(self.seed, self.count)


def update_canaries_of(target: Target) -> UpdateCanaries | None:
    """Return the canary updates of a target; None where it has none, or who was in is not known.

    They are read from the weights, so an attacker who sees answers alone does not read them.
    """
    run: Run | None = getattr(target, "run", None)
    threat = target.threat
    if run is None or threat.attacker is not Attacker.OUTSIDER or threat.access is Access.OUTPUTS:
        return None
    count, seed = _planted(run), stored_seed(run.path, DEFENCE_SEED)
    known = count and seed is not None and (run.path / ROUNDS).is_dir()
    return UpdateCanaries(seed, count) if known and seed is not None else None


def read_updates_back(target: Target) -> CanaryEvidence | None:
    """Score the canary updates by the final model, and bound epsilon; None where there are none."""
    if (canaries := update_canaries_of(target)) is None:
        return None
    run: Run = target.run  # type: ignore[attr-defined]
    inside, stated = canaries.inside, run.guarantee
    if inside.all() or not inside.any():
        return None
    scores, weights = cosines(run, target.model, canaries)  # type: ignore[attr-defined]
    epsilon, delta = (None, None) if stated is None else (stated.epsilon, stated.delta)
    return evidence_of_cosines(scores, inside, weights, epsilon=epsilon, delta=delta)


def evidence_of_cosines(
    scores: Float[np.ndarray, " canaries"],
    inside: Bool[np.ndarray, " canaries"],
    weights: int,
    *,
    epsilon: float | None,
    delta: float | None,
) -> CanaryEvidence:
    """Return the bounds of canary updates, and the estimate of Andrew et al. (ICLR 2024).

    The bounds are those of canaries of a training. For the estimate, a normal distribution is fitted to the
    cosines of the canaries that were in, while the cosine of one that was out is nearly normal, with mean 0
    and variance 1 / ``weights``.

    Parameters
    ----------
    scores
        Cosine of each canary with what all rounds added to the initial model.
    inside
        Whether each was added to the sums; some were, and some were not.
    weights
        Number of trainable weights.
    epsilon, delta
        The stated guarantee; None without one.
    """
    found = canary_evidence({"updates": scores}, inside, epsilon=epsilon, delta=delta, gaussian=True)
    held, null = scores[inside], weights**-0.5
    spread = float(held.std(ddof=1)) if len(held) > 1 else null
    estimate = epsilon_of_two_normals(float(held.mean()), spread, null, found.delta or DELTA)
    return replace(found, estimate=estimate)


def cosines(
    run: Run, model: nn.Module, canaries: UpdateCanaries
) -> tuple[Float[np.ndarray, " canaries"], int]:
    """Return the cosine of each canary with what a federation added to the initial model, and its length.

    The sum over rounds is the difference of two models, so the models between need not be read. The final
    model is that of the last round, before any defence changed the finished model.
    """
    transcript = Transcript.open(run.path / ROUNDS)
    first, last = (transcript.global_model(number) for number in (0, len(transcript.rounds)))
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    before = {name: first[name] for name in names}
    moved = flat({name: last[name] for name in names}) - flat(before)
    length = float(moved.norm().clamp_min(1e-30))
    found = [float(unit @ moved) / length for unit in directions(canaries.seed, canaries.count, before)]
    return np.array(found), len(moved)


def _planted(run: Run) -> int:
    """Return the number of canary updates that a run's defence names; 0 without."""
    for part in parts_of(run.defence):
        if part.partition(":")[0] in DEFENCES and isinstance(defence := defence_from(part), SiteNoise):
            return defence.canaries
    return 0
