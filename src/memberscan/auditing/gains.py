"""How much attacks that see more improve on those that see less, on the same people and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from memberscan.attacks.added_weights import with_weights
from memberscan.attacks.references.stacking import STACKING
from memberscan.evidence.estimates import Difference, Errors, paired_difference
from memberscan.report.outcome import WITH_WEIGHTS
from memberscan.signals import PREDICTION

if TYPE_CHECKING:
    from memberscan.attacks import Features
    from memberscan.auditing.selection import Selection
    from memberscan.evidence.scores import Scores
    from memberscan.targets import Target

OF_OUTPUTS = "prediction+label"
"""The attack on outputs that attacks on weights are compared with."""


def measure_gains(
    target: Target,
    selected: Selection,
    features: Mapping[str, Features],
    scores: Sequence[Scores],
    errors: Errors,
) -> list[Difference]:
    """Return what the weights add to the outputs, and to the outputs and references together."""
    scored = {attack.attack: attack for attack in scores}
    if scores[0].pairs:
        return []
    names = [name for name, attack in selected.about.items() if attack.fitted and attack.access != "outputs"]
    found = []
    if OF_OUTPUTS in scored:
        found = [paired_difference(scored[name], scored[OF_OUTPUTS], errors) for name in names]
    # Attacks that combine weights with outputs would bring the same weights again.
    apart = [features[name] for name in names if PREDICTION not in selected.attacks[name].reads]
    if STACKING.name in scored and apart:
        draws = target.comparisons(learns=True)
        alone, added = with_weights(WITH_WEIGHTS, scored[STACKING.name], apart, draws, target.people)
        found.append(paired_difference(added, alone, errors))
    return found
