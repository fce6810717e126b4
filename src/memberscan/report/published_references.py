"""What audit.json says of the reference models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from memberscan.evidence.rounding import Measured, floored
from memberscan.report.content.references_json import Quantizer, References

if TYPE_CHECKING:
    from memberscan.evidence.recipe_fit import RecipeFit
    from memberscan.report.outcome import ReferenceFacts

_CORRELATION = 0.01


def references(facts: ReferenceFacts | None, step: float) -> References | None:
    """Return how the target compares with its references; ``step`` is the finest one of its errors."""
    if facts is None:
        return None
    fit, also = facts.fit, {}
    if (found := facts.quantizer) is not None:
        # Of few people each, and no more exact than that.
        about = {"indicator": round(found.indicator, 2), "low": floored(found.low, 0.01)}
        also = {"quantizer": Quantizer(**about, compared=found.compared)}
    return References(
        count=fit.count,
        recipe=facts.recipe,
        rmse_in=_mean(fit.rmse_in, fit.count, step),
        rmse_out=_mean(fit.rmse_out, fit.count, step),
        correlation=_correlation(fit.correlation, fit),
        own_correlation=_correlation(fit.own_correlation[0], fit),
        unlike=fit.unlike,
        **also,
    )


def _mean(of: tuple[float, float], count: int, step: float) -> Measured:
    value, spread = of
    return Measured(value, spread / math.sqrt(count), finest=step)


def _correlation(value: float, fit: RecipeFit) -> Measured | None:
    if math.isnan(value):
        return None
    return Measured(value, fit.own_correlation[1] / math.sqrt(fit.count), finest=_CORRELATION)
