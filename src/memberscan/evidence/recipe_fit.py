"""Were the references trained as the target was? Their errors and their residuals should be like its own.

Attacks with references compare a model with others of one recipe. If the target predicts much better or
worse than they do, or fails on other people, the comparison is between recipes, and finds less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from memberscan.evidence.multiple import holm

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Unlike = Literal["error on members", "error on others", "correlation"]
SIGNIFICANCE = 0.01
NOTABLE = 0.1
"""Differences of root mean squared errors (relative), and of correlations, that are too small to matter."""
FEWEST = 4
"""Fewest references whose correlations with others than their twins can be compared."""


@dataclass(frozen=True)
class RecipeFit:
    """The target beside its references.

    Parameters
    ----------
    count
        Number of references.
    rmse_in, rmse_out
        Root mean squared error of the references on people they were, and were not, trained on: mean over
        references, and standard deviation, years.
    correlation
        Mean correlation of the target's residuals with a reference's; NaN with fewer than four references.
    own_correlation
        Mean correlation of a reference's residuals with another's that is not its twin, and standard
        deviation over references; NaN likewise.
    unlike
        In what the target differs clearly. It is not a test of the recipe itself: a target whose people
        differ from the references' people differs too.
    """

    count: int
    rmse_in: tuple[float, float]
    rmse_out: tuple[float, float]
    correlation: float
    own_correlation: tuple[float, float]
    unlike: tuple[Unlike, ...]


def compare_recipe(
    residual: Float[np.ndarray, " people"],
    member: Bool[np.ndarray, " people"],
    references: Float[np.ndarray, "references people"],
    inside: Bool[np.ndarray, "references people"],
) -> RecipeFit:
    """Compare a target with its references.

    Each reference is one draw of what a model of the recipe looks like, so the target is compared with their
    mean by the spread between them (a t test for one new observation), corrected by Holm's method.

    Parameters
    ----------
    residual, member
        Mean residual of each person by the target, years, and who was trained on.
    references, inside
        The same of each reference; rows 2j and 2j + 1 are twins.
    """
    count = len(references)
    sizes = [
        np.array([_log_rmse(row[side]) for row, side in zip(references, sides, strict=True)])
        for sides in (inside, ~inside)
    ]
    own = [_log_rmse(residual[side]) for side in (member, ~member)]
    p_values = [_two_sided(one, many) for one, many in zip(own, sizes, strict=True)]
    notable = [abs(one - many.mean()) > NOTABLE for one, many in zip(own, sizes, strict=True)]
    found, among = _correlations(residual, references)
    if count >= FEWEST:
        p_values.append(_lower(found, among))
        notable.append(found < among.mean() - NOTABLE)
    names: tuple[Unlike, ...] = ("error on members", "error on others", "correlation")
    corrected = holm(p_values)
    unlike = tuple(
        name
        for name, p, matters in zip(names, corrected, notable, strict=False)
        if matters and p < SIGNIFICANCE
    )
    rmse_in, rmse_out = ((float(np.exp(s).mean()), float(np.exp(s).std(ddof=1))) for s in sizes)
    spread = float(among.std(ddof=1)) if len(among) > 1 else float("nan")
    mean = float(among.mean()) if len(among) else float("nan")
    return RecipeFit(count, rmse_in, rmse_out, found, (mean, spread), unlike)


def _log_rmse(residual: Float[np.ndarray, " people"]) -> float:
    return 0.5 * float(np.log(max(np.mean(residual**2), 1e-300)))


def _two_sided(one: float, many: Float[np.ndarray, " references"]) -> float:
    return float(2 * stats.t.sf(abs(_t(one, many)), len(many) - 1))


def _lower(one: float, many: Float[np.ndarray, " references"]) -> float:
    return float(stats.t.cdf(_t(one, many), len(many) - 1))


def _t(one: float, many: Float[np.ndarray, " references"]) -> float:
    """Return how far one new observation lies from a sample's mean, in its standard deviations."""
    error = many.std(ddof=1) * np.sqrt(1 + 1 / len(many))
    return float((one - many.mean()) / max(error, 1e-12))


def _correlations(
    residual: Float[np.ndarray, " people"], references: Float[np.ndarray, "references people"]
) -> tuple[float, Float[np.ndarray, " references"]]:
    """Return the target's mean correlation with references, and each reference's with those not its twin."""
    count = len(references)
    if count < FEWEST:
        return float("nan"), np.zeros(0)
    rows = np.vstack([residual, references])
    left = rows - rows.mean(axis=1, keepdims=True)
    norms = np.sqrt((left**2).sum(axis=1))
    # A model with one residual for everybody is correlated with none.
    table = (left @ left.T) / np.maximum(np.outer(norms, norms), 1e-300)
    pair = np.arange(count) // 2
    other = pair[:, None] != pair
    among = np.where(other, table[1:, 1:], 0.0).sum(axis=1) / other.sum(axis=1)
    return float(table[0, 1:].mean()), among
