"""The figures that answer "how well": estimates with their intervals; an AUC as a hundred pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

from memberscan.report import svg, tables, words
from memberscan.report.figures import Drawing, both

_ROOM = 38


@dataclass(frozen=True)
class Row:
    """One estimate with its interval, or the reason why there is none."""

    label: str
    estimate: dict[str, Any] | None
    note: str = ""
    bound: float | None = None
    marker: str = "o"
    strong: bool = False


def attacks(audit: dict[str, Any]) -> Drawing:
    """Draw the AUC of every attack with its 95% interval and simultaneous lower bound, strongest first."""
    rows = []
    for finding in words.ranked(audit):
        auc = words.judged_auc(audit, finding)
        rows.append(
            Row(
                finding["attack"],
                auc,
                bound=auc["simultaneous"]["low"],
                marker="o" if finding["access"] == "outputs" else "s",
                strong=words.exceeds_chance(auc),
            )
        )
    said = "; ".join(f"{r.label} {words.fraction(r.estimate['value'])}" for r in rows if r.estimate)
    gap = audit["checks"]["gap"]["auc"]

    def paint(figure: Figure, narrow: bool) -> None:
        shown = [replace(row, label=_short(row.label)) for row in rows] if narrow else rows
        _intervals(figure.subplots(), shown, gap=gap["value"], narrow=narrow)

    return both(
        "attacks",
        (84 + 42 * len(rows),) * 2,
        "AUC of every attack",
        f"Areas under the ROC curve, where 0.5 is chance: {said}. The error gap alone predicts "
        f"{words.fraction(gap['value'])}. The table below holds all values.",
        paint,
    )


def _short(attack: str) -> str:
    """Return the name of an attack, cut in its middle where a phone has no room for it beside its value."""
    return attack if len(attack) <= _ROOM else f"{attack[: _ROOM // 2]}…{attack[-_ROOM // 2 + 1 :]}"


def exposure(audit: dict[str, Any]) -> Drawing:
    """Draw the AUC of the strongest attack in each group of people."""
    rows = [
        Row(
            tables.group_name(g)
            + ("" if g["members"] is None else f" · {words.people(g['members'], 'member')}"),
            g["auc"],
            note=g["reason"] or "",
            strong=bool(g["auc"] and g["auc"]["low"] > 0.5),
        )
        for g in audit["exposure"]["groups"]
    ]
    said = "; ".join(
        f"{r.label}: {words.fraction(r.estimate['value']) if r.estimate else 'not available'}" for r in rows
    )

    def paint(figure: Figure, narrow: bool) -> None:
        _intervals(figure.subplots(), rows, gap=None, narrow=narrow)

    return both(
        "exposure",
        (84 + 42 * len(rows),) * 2,
        "AUC by group of people",
        f"AUC of the attack {audit['exposure']['attack']} by group, where 0.5 is chance. {said}.",
        paint,
    )


def _intervals(axes: Axes, rows: Sequence[Row], *, gap: float | None, narrow: bool) -> None:
    """Draw labelled intervals from top to bottom on a scale of AUC."""
    low, high = _limits(rows, gap)
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.35, -0.95)
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(
        MultipleLocator(0.05 if high - low < 0.28 else 0.2 if high - low > 0.7 and narrow else 0.1)
    )
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x:.2f}" if high - low < 0.28 else f"{x:.1f}")
    )
    axes.set_xlabel("AUC")
    axes.plot([0.5, 0.5], [-0.6, len(rows) - 0.35], color=svg.MUTED, linewidth=1)
    chance_left = gap is None or gap >= 0.5
    _mark(axes, 0.5, "chance", "right" if chance_left else "left")
    if gap is not None:
        axes.plot(
            [gap, gap], [-0.6, len(rows) - 0.35], color=svg.SECOND, linewidth=1.5, linestyle=(0, (4, 3))
        )
        far = gap > low + 0.8 * (high - low)
        _mark(axes, gap, "error gap alone", "left" if chance_left and not far else "right", color=svg.SECOND)
    for place, row in enumerate(rows):
        _interval(axes, place, row)


def _limits(rows: Sequence[Row], gap: float | None) -> tuple[float, float]:
    ends = [0.5, gap or 0.5]
    for row in rows:
        if row.estimate:
            ends += [row.estimate["low"], row.estimate["high"], row.bound or 0.5]
    return max(0.0, min(min(ends) - 0.03, 0.42)), min(1.0, max(max(ends) + 0.03, 0.68))


def _mark(axes: Axes, x: float, text: str, side: str, color: str = svg.MUTED) -> None:
    shift = -5 if side == "right" else 5
    axes.annotate(
        text,
        (x, -0.72),
        (shift, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize="small",
        color=color,
    )


def _interval(axes: Axes, place: int, row: Row) -> None:
    whole = axes.get_yaxis_transform()
    label, line = place - 0.2, place + 0.2
    axes.text(0, label, row.label, transform=whole, va="center")
    if row.estimate is None:
        axes.text(
            0, line, f"n/a: {row.note}" if row.note else "n/a", transform=whole, va="center", color=svg.MUTED
        )
        return
    value, color = row.estimate["value"], svg.SIGNAL if row.strong else svg.MUTED
    axes.text(1, label, words.fraction(value), transform=whole, va="center", ha="right", weight="bold")
    if row.bound is not None:
        axes.plot([row.bound, max(row.bound, row.estimate["low"])], [line, line], color=color, linewidth=1.5)
        axes.plot([row.bound, row.bound], [line - 0.13, line + 0.13], color=color, linewidth=1.5)
    axes.hlines(line, row.estimate["low"], row.estimate["high"], color=color, linewidth=6, alpha=0.45)
    axes.plot(
        [value],
        [line],
        row.marker,
        color=color,
        markersize=10,
        markeredgecolor=svg.PAPER,
        markeredgewidth=1.5,
    )


def pairs(auc: float) -> Markup:
    """Draw an AUC as a hundred pairs: what a coin gets right, what the attack adds, the rest."""
    right = round(100 * auc)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(-0.5, 19.5)
        axes.set_ylim(4.5, -0.5)
        place = np.arange(100)
        x, y = place // 5, place % 5
        for chosen, color, filled in (
            (place < min(right, 50), svg.MUTED, True),
            ((place >= 50) & (place < right), svg.TONE, True),
            (place >= right, svg.MUTED, False),
        ):
            face = color if filled else "none"
            axes.plot(
                x[chosen], y[chosen], "o", color=color, markerfacecolor=face, markersize=7, markeredgewidth=1
            )

    return svg.draw(
        "pairs",
        280,
        70,
        "One hundred pairs of a member and a non-member",
        f"The attack picks the member in {right} of 100 pairs; a coin would in 50.",
        paint,
    )
