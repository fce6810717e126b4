"""What an audit publishes about small groups, and with how many digits: one rule for everything.

An attacker who can query the model and holds all scans can compute what an audit computes, for any guess of
who was a member. Exact numbers would confirm the right guess. So a cell of few people is joined or hidden,
and every number is rounded to a step that fits its standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from memberscan.errors import BadInputError
from memberscan.evidence.intervals import Interval
from memberscan.evidence.rounding import (
    FINEST,
    Measured,
    error_of,
    floored,
    rounded,
    rounded_p,
    step_below,
)
from memberscan.report.content.finding_json import PositivePredictiveValue, Rate, Roc
from memberscan.report.content.parts import Auc, Estimate, Part

FEWEST_ALLOWED = 5
ROC_RATES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""False-positive rates of the points that are published of a ROC curve."""
CHANCE = 0.5
_P_VALUES = ("p_value", "p_holm", "p_values")
_SIDES = {"difference": 0.0, "h": 0.0, "bits": 0.0}
"""Parts whose numbers are kept on their side of another value than chance."""

P = TypeVar("P", bound=Part)


def require_cell(smallest: int) -> None:
    """Refuse a rule that would publish cells of fewer than five people."""
    if smallest < FEWEST_ALLOWED:
        raise BadInputError(
            f"smallest_cell is {smallest}; no cell of fewer than {FEWEST_ALLOWED} is published; give "
            f"{FEWEST_ALLOWED} or more"
        )


def few(smallest: int) -> str:
    """Return the reason that is given for a hidden cell."""
    return f"fewer than {smallest} people on a side, or hidden to protect such a group"


def hidden(cells: Sequence[tuple[int, ...]], smallest: int, *, rest: tuple[int, ...] = ()) -> list[bool]:
    """Return which cells of a partition are not published: small ones, and others that would reveal them.

    Parameters
    ----------
    cells
        The people of each cell, side by side.
    smallest
        Fewest people on each side of a cell that is published.
    rest
        People of each side who are in no cell: the total minus all cells.

    Notes
    -----
    The total is published, so a reader can subtract the published cells from it. The rest must be zero or
    large enough; further cells are hidden, the smallest first, until that holds.
    """
    hide = [min(cell) < smallest for cell in cells]
    left = np.array(rest or (0,) * (len(cells[0]) if cells else 1))
    for cell, hides in zip(cells, hide, strict=True):
        left = left + np.array(cell) * hides
    for k in sorted(range(len(cells)), key=lambda k: min(cells[k])):
        if not left.any() or left.min() >= smallest:
            break
        if not hide[k]:
            hide[k], left = True, left + np.array(cells[k])
    return hide


def published_interval(found: Interval, *, side: float | None = None, finest: float = FINEST) -> Estimate:
    """Return an estimate rounded to fit its standard error; its ends stay on their side of ``side``."""
    step = step_below(error_of(found.low, found.high), finest=finest)
    low, high = (rounded(end, step, side=side) for end in (found.low, found.high))
    return Estimate(value=rounded(found.value, step), low=low, high=high)


def curve(roc: Roc, tpr: Sequence[Rate], scored: tuple[int, int], smallest: int) -> Roc:
    """Return a few points of a ROC curve; all its steps in order would reveal every member.

    Published are the rates at which ``smallest`` non-members or more are named, and those at which the
    finding itself has a value; that value is used here too.

    Parameters
    ----------
    roc, tpr
        The whole curve, and the finding's own rates, which are already rounded.
    scored
        How many members, and non-members, were scored in some draw.
    smallest
        Fewest people of a group that is reported.
    """
    known = {rate.fpr: rate.value for rate in tpr if rate.value is not None}
    members, nonmembers = scored
    fpr, found = np.array(roc.fpr), np.array(roc.tpr)
    rates = [rate for rate in ROC_RATES if rate in known or rate * nonmembers >= smallest - 1e-9]
    values = []
    for rate in rates:
        share = float(found[np.searchsorted(fpr, rate + 1e-12, side="right") - 1])
        # Two added successes and failures (Agresti and Coull) keep the error above zero at shares of 0 and 1.
        inner = (share * members + 2) / (members + 4)
        step = step_below(float(np.sqrt(inner * (1 - inner) / (members + 4))))
        values.append(known.get(rate, rounded(share, step)))
    rising = np.maximum.accumulate(values).tolist() if values else []
    return Roc(fpr=(*rates, 1.0), tpr=(*rising, 1.0))


def published(part: P, name: str = "") -> P:
    """Return a part of the content with every number rounded to a step that fits its standard error.

    All three numbers of an estimate are rounded to one step. Ends of intervals stay on their side of chance
    (or of no difference), and simultaneous bounds are rounded downwards.

    Parameters
    ----------
    part
        With exact numbers.
    name
        Its key.
    """
    given = {key: getattr(part, key) for key in part.model_fields_set}
    part = part.model_copy(update={key: _published(value, key) for key, value in given.items()})
    return part.model_copy(update=_rounded_interval(part, name) if isinstance(part, Estimate | Rate) else {})


def _published(value: Any, name: str) -> Any:
    if isinstance(value, Part):
        return published(value, name)
    if isinstance(value, tuple):
        return tuple(_published(item, name) for item in value)
    if isinstance(value, dict):
        return {key: _published(item, name) for key, item in value.items()}
    if isinstance(value, Measured):
        return rounded(value, step_below(value.error, finest=value.finest))
    return rounded_p(value) if name in _P_VALUES and value is not None else value


def _rounded_interval(found: Estimate | Rate, name: str) -> dict[str, Any]:
    """Return the rounded value and ends of an estimate or a rate, and what else follows from the step."""
    if found.value is None or found.low is None or found.high is None:
        return {}
    side = _SIDES.get(name, CHANCE) if isinstance(found, Estimate) else None
    step = step_below(error_of(found.low, found.high))
    low, high = (rounded(end, step, side=side) for end in (found.low, found.high))
    update: dict[str, Any] = {"value": rounded(found.value, step), "low": low, "high": high}
    if isinstance(found, Auc):
        bound = floored(found.simultaneous.low, step, side=side)
        update["simultaneous"] = found.simultaneous.model_copy(update={"low": bound})
    if isinstance(found, Rate):
        tpr, predictive = dict(update), []
        for prior in (one.prior for one in found.ppv):
            # Of the people named, the members are prior x TPR, and all others (1 - prior) x FPR.
            named = {end: prior * t + (1 - prior) * found.fpr for end, t in tpr.items()}
            shares = {end: round(prior * t / named[end], 3) for end, t in tpr.items()}
            predictive.append(PositivePredictiveValue(prior=prior, **shares))
        update["ppv"] = tuple(predictive)
    return update
