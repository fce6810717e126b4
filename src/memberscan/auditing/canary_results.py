"""Read the canaries of a run back, where the auditor has the owner's file that says who was in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memberscan.evidence.canary_bounds import CanaryEvidence, canary_evidence
from memberscan.targets import Target
from memberscan.threat import Access, Attacker

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from memberscan.runs.canaries import Canaries


def canaries_of(target: Target) -> Canaries | None:
    """Return the canaries of a target; None where it has none, or who was in is not known.

    Only an outsider reads them: runs with canaries are trained in one place.
    """
    run = getattr(target, "run", None)
    if run is None or target.threat.attacker is not Attacker.OUTSIDER:
        return None
    found: Canaries | None = run.canaries
    return found


def in_request(target: Target) -> dict[str, str]:
    """Return what the request of an audit says of canaries, so that one with others is not taken for it."""
    if getattr(target, "run", None) is None:
        return {}
    # Torch is loaded only where a model is run.
    from memberscan.auditing.update_canaries import update_canaries_of

    found = {"canaries": canaries_of(target), "update_canaries": update_canaries_of(target)}
    return {name: each.fingerprint for name, each in found.items() if each is not None}


def read_back(target: Target) -> CanaryEvidence | None:
    """Score the canaries by what the attacker may see, and bound epsilon; None where there are none."""
    if getattr(target, "run", None) is None:
        return None
    if (canaries := canaries_of(target)) is None:
        from memberscan.auditing.update_canaries import read_updates_back

        return read_updates_back(target)
    inside, run = canaries.inside, target.run  # type: ignore[attr-defined]
    if inside.all() or not inside.any():
        return None
    stated = run.guarantee
    private = stated is not None and stated.epsilon is not None and stated.delta is not None
    return canary_evidence(
        scores_of(target, canaries),
        inside,
        epsilon=stated.epsilon if private else None,
        delta=stated.delta if private else None,
        gaussian=run.gaussian_noise,
    )


def scores_of(target: Target, canaries: Canaries) -> dict[str, Float[np.ndarray, " canaries"]]:
    """Return scores of all canaries by what the attacker may see, higher for those that were trained on."""
    # Torch is loaded only where a model is run.
    from memberscan.auditing.canary_scores import scores_of_outputs, scores_of_weights
    from memberscan.targets.trained_model import TrainedModel

    assert isinstance(target, TrainedModel)
    scores = {"outputs": scores_of_outputs(target, canaries)}
    if target.threat.access is not Access.OUTPUTS and target.gradient_obstacle(None) is None:
        scores["weights"] = scores_of_weights(target, canaries)
    return scores
