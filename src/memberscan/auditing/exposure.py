"""Whether some people are more exposed than others, and how far off the model is for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan.evidence.findings import findings
from memberscan.evidence.joint import joint
from memberscan.evidence.scored import FEWEST, Scored

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_FEWEST_SHOWN = 5
_PER_EXPOSURE_BAND, _PER_RESIDUAL_BAND = 60, 25


def exposure(
    attack: Scored,
    member: Bool[np.ndarray, " subjects"],
    age: Float[np.ndarray, " subjects"],
    sex: pd.Series | None,
) -> dict[str, Any]:
    """Return how well one attack does among people of each age band and sex.

    Each interval is for its group alone; the groups were not chosen after looking, but many are looked at.
    """
    groups = [
        _group("age", f"{low:.0f}–{high:.0f}", attack, member, inside)
        for low, high, inside in _bands(age, _PER_EXPOSURE_BAND, most=5)
    ]
    if sex is not None:
        levels = sorted(sex.dropna().unique())
        groups += [_group("sex", level, attack, member, (sex == level).to_numpy(bool)) for level in levels]
    return {"attack": attack.attack, "groups": groups}


def _group(
    by: str,
    name: str,
    attack: Scored,
    member: Bool[np.ndarray, " subjects"],
    inside: Bool[np.ndarray, " subjects"],
) -> dict[str, Any]:
    sides = [int((side & inside).sum()) for side in (member, ~member)]
    row: dict[str, Any] = {"by": by, "group": name, "members": sides[0], "nonmembers": sides[1]}
    seen = attack.scored[:, inside]
    fewest = int(min((seen & member[inside]).sum(axis=1).min(), (seen & ~member[inside]).sum(axis=1).min()))
    if fewest < FEWEST:
        reason = f"fewer than {FEWEST} members or non-members scored in one draw"
        return {**row, "auc": None, "accuracy": None, "reason": reason}
    part = Scored(attack.attack, attack.fitted, attack.scores[:, inside], attack.thresholds)
    (found,) = findings([part], member[inside], joint([part], member[inside]))
    return {**row, "auc": found.auc.to_dict(), "accuracy": found.accuracy.to_dict(), "reason": None}


def residual_bands(
    age: Float[np.ndarray, " subjects"],
    residual: Float[np.ndarray, " subjects"],
    member: Bool[np.ndarray, " subjects"],
) -> list[dict[str, Any]]:
    """Return quantiles of signed residuals (years) by age band; a side with under five people is left out."""
    bands = []
    for low, high, inside in _bands(age, _PER_RESIDUAL_BAND, most=8):
        sides = {"members": residual[inside & member], "nonmembers": residual[inside & ~member]}
        quantiles = {name: _quantiles(values) for name, values in sides.items()}
        bands.append({"low": low, "high": high, **quantiles})
    return bands


def _quantiles(values: Float[np.ndarray, " n"]) -> dict[str, float] | None:
    if len(values) < _FEWEST_SHOWN:
        return None
    return {"n": len(values)} | {f"q{q}": float(np.percentile(values, q)) for q in (10, 25, 50, 75, 90)}


def _bands(
    age: Float[np.ndarray, " subjects"], people: int, *, most: int
) -> list[tuple[float, float, Bool[np.ndarray, " subjects"]]]:
    """Cut ages into bands of about equal numbers of people, at whole years."""
    count = int(np.clip(len(age) // people, 1, most))
    edges = np.unique(np.round(np.quantile(age, np.linspace(0, 1, count + 1))))
    low, high = np.floor(age.min()), np.ceil(age.max())
    edges = np.array([low, *edges[(edges > low) & (edges < high)], max(high, low + 1)])
    place = np.clip(np.searchsorted(edges, age, side="right") - 1, 0, len(edges) - 2)
    return [(float(edges[b]), float(edges[b + 1]), place == b) for b in range(len(edges) - 1)]
