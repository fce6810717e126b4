"""Turn what canaries show of epsilon into the content of audit.json."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from memberscan.evidence.rounding import floored
from memberscan.report.content.canaries_json import Canaries, CanaryBound

if TYPE_CHECKING:
    from memberscan.evidence import canary_bounds

STEP = 0.01
"""To which epsilons are rounded down."""


def canaries(found: canary_bounds.CanaryEvidence) -> Canaries:
    """Return the bounds, rounded down; whether one breaks the guarantee was decided on exact numbers.

    Canaries are made up, so their counts say nothing about people.
    """
    estimate = found.estimate
    also = {} if estimate is None or math.isinf(estimate) else {"estimate": round(estimate, 2)}
    return Canaries(
        inside=found.inside,
        outside=found.outside,
        level=found.level,
        delta=found.delta,
        bounds=tuple(_bound(each, found.epsilon) for each in found.bounds),
        broken=found.broken,
        **also,
    )


def _bound(each: canary_bounds.CanaryBound, stated: float | None) -> CanaryBound:
    bound = each.bound
    return CanaryBound.model_validate(
        {
            "scores": each.scores,
            "method": bound.method,
            # Both on the same side of the stated epsilon as the exact numbers.
            "epsilon": floored(bound.value, STEP, side=stated),
            "ceiling": floored(bound.ceiling, STEP, side=stated),
            "guesses": bound.guesses,
            "correct": bound.correct,
            "broken": each.broken,
        }
    )
