"""The points of a frontier as a table, one row each, for other programs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from memberscan.frontier.content import FrontierContent, FrontierPoint, Leakage
from memberscan.report.content.parts import Estimate

_ENDS = ("value", "low", "high")


def table_of(content: FrontierContent) -> pd.DataFrame:
    """Return one row per point: error, leakage of everybody and of the most exposed tenth, each with its
    interval.

    Numbers are those of frontier.json. Empty cells were not measured.
    """
    return pd.DataFrame([_row(content, point) for point in content.points])


def _row(content: FrontierContent, point: FrontierPoint) -> dict[str, Any]:
    guarantee = point.guarantee
    return {
        "point": point.name,
        "family": point.family,
        "defence": point.defence,
        "settings": ",".join(f"{name}={value}" for name, value in point.settings.items()),
        "seeds": content.seeds,
        **_ends("error", point.error),
        **_ends("error_members", point.error_members),
        **_leakage("", point.everybody, content),
        **_leakage("exposed_", point.most_exposed, content),
        "attacks": None if point.everybody is None else " ".join(point.everybody.attacks),
        "on_frontier": int(point.on_frontier),
        "dominated_by": "; ".join(f"{d.point}{' (certain)' * d.certain}" for d in point.dominated_by),
        "epsilon": None if guarantee is None else guarantee.epsilon,
        "delta": None if guarantee is None else guarantee.delta,
        "failed": point.failed,
    }


def _ends(name: str, found: Estimate | None) -> dict[str, float | None]:
    return {
        name if end == "value" else f"{name}_{end}": getattr(found, end) if found else None for end in _ENDS
    }


def _leakage(prefix: str, found: Leakage | None, content: FrontierContent) -> dict[str, float | None]:
    row = _ends(f"{prefix}auc", found.auc if found else None)
    # Every point has the same rates, so that failed ones have the columns too.
    some = next((p.everybody.rates for p in content.points if p.everybody), ())
    for k, rate in enumerate(some):
        name = f"{prefix}tpr_at_{100 * rate.fpr:g}"
        for end in _ENDS:
            value = getattr(found.rates[k], end) if found else None
            row[name if end == "value" else f"{name}_{end}"] = value
    return row
