"""Whether some people are more exposed than others, and how far off the model is for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan.auditing.disclosure import AgeBand, age_bands, few, hidden, quantiles
from memberscan.evidence.estimates import estimate_accuracies, estimate_aucs
from memberscan.evidence.scores import Scores
from memberscan.evidence.single_draw import DeLong
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_PER_EXPOSURE_BAND, _PER_RESIDUAL_BAND = 60, 100


def exposure(
    attack: Scores,
    member: Bool[np.ndarray, " subjects"],
    age: Float[np.ndarray, " subjects"],
    sex: pd.Series | None,
    smallest: int,
) -> dict[str, Any]:
    """Return how well one attack does among people of each age band and sex.

    Each interval is for its group alone; the groups were not chosen after looking, but many are looked at.
    Groups of few people are hidden: see :func:`memberscan.auditing.disclosure.hidden`.
    """
    groups = [_group("age", band.name, attack, member, band.inside) for band in _bands(age, member, smallest)]
    if sex is not None:
        levels = [(str(level), (sex == level).to_numpy(bool)) for level in sorted(sex.dropna().unique())]
        cells = [_sides(member, inside) for _, inside in levels]
        rest = _sides(member, sex.isna().to_numpy(bool))
        for (level, inside), hides in zip(levels, hidden(cells, smallest, rest=rest), strict=True):
            group = _group("sex", level, attack, member, inside)
            groups.append(group | dict.fromkeys(_VALUES) | {"reason": few(smallest)} if hides else group)
    return {"attack": attack.attack, "groups": groups}


def _bands(
    age: Float[np.ndarray, " subjects"], member: Bool[np.ndarray, " subjects"], smallest: int
) -> list[AgeBand]:
    return age_bands(age, member, people=_PER_EXPOSURE_BAND, most=5, smallest=smallest)


_VALUES = ("members", "nonmembers", "auc", "accuracy")


def _sides(member: Bool[np.ndarray, " subjects"], inside: Bool[np.ndarray, " subjects"]) -> tuple[int, int]:
    return int((member & inside).sum()), int((~member & inside).sum())


def _group(
    by: str,
    name: str,
    attack: Scores,
    member: Bool[np.ndarray, " subjects"],
    inside: Bool[np.ndarray, " subjects"],
) -> dict[str, Any]:
    members, nonmembers = _sides(member, inside)
    row: dict[str, Any] = {"by": by, "group": name, "members": members, "nonmembers": nonmembers}
    part = attack.of_people(inside)
    if part.counts.min() < FEWEST_PER_SIDE:
        reason = f"fewer than {FEWEST_PER_SIDE} members or non-members scored in one draw"
        return {**row, "auc": None, "accuracy": None, "reason": reason}
    (auc,) = estimate_aucs([part], DeLong()).intervals
    (accuracy,) = estimate_accuracies([part], DeLong())
    return {**row, "auc": auc.to_dict(), "accuracy": accuracy.to_dict(), "reason": None}


def residual_bands(
    age: Float[np.ndarray, " subjects"],
    residual: Float[np.ndarray, " subjects"],
    member: Bool[np.ndarray, " subjects"],
    smallest: int,
) -> list[dict[str, Any]]:
    """Return rounded quantiles of signed residuals (years) of both sides by age band.

    The bands differ from those of :func:`exposure`, and leave no small group between the edges of the two.
    """
    rows = []
    beside = _bands(age, member, smallest)
    for band in age_bands(age, member, people=_PER_RESIDUAL_BAND, most=8, smallest=smallest, beside=beside):
        row: dict[str, Any] = {"low": band.low, "high": band.high}
        for name, side in (("members", member), ("nonmembers", ~member)):
            values = residual[band.inside & side]
            row[name] = {"n": len(values), **quantiles(values, smallest)}
        rows.append(row)
    return rows
