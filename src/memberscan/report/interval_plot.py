"""Estimates with their intervals, drawn from top to bottom on one AUC axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

from memberscan.report import svg, words
from memberscan.report.content.parts import Estimate

LONGEST_NOTE = 60
"""Characters of a reason that fit into a narrow figure."""


@dataclass(frozen=True)
class Row:
    """One estimate with its interval, or the reason why there is none."""

    label: str
    estimate: Estimate | None
    note: str = ""
    bound: float | None = None
    marker: str = "o"
    strong: bool = False


def draw_intervals(axes: Axes, rows: Sequence[Row], *, gap: float | None, narrow: bool) -> None:
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
    _upright(axes, 0.5, rows, color=svg.MUTED, linewidth=1)
    chance_left = gap is None or gap >= 0.5
    _mark(axes, 0.5, "chance", "right" if chance_left else "left")
    if gap is not None:
        _upright(axes, gap, rows, color=svg.SECOND, linewidth=1.5, linestyle=(0, (4, 3)))
        far = gap > low + 0.8 * (high - low)
        _mark(axes, gap, "error gap alone", "left" if chance_left and not far else "right", color=svg.SECOND)
    for place, row in enumerate(rows):
        _interval(axes, place, row, narrow)


def _upright(axes: Axes, x: float, rows: Sequence[Row], **style: Any) -> None:
    """Draw a vertical line beside the intervals only, so that it does not cross the labels above them."""
    axes.plot([x, x], [-0.6, -0.47], **style)
    for place, row in enumerate(rows):
        if row.estimate is not None:
            axes.plot([x, x], [place + 0.03, place + 0.47], **style)


def _limits(rows: Sequence[Row], gap: float | None) -> tuple[float, float]:
    ends = [0.5, gap or 0.5]
    for row in rows:
        if row.estimate:
            ends += [row.estimate.low, row.estimate.high, row.bound or 0.5]
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


def _interval(axes: Axes, place: int, row: Row, narrow: bool) -> None:
    whole = axes.get_yaxis_transform()
    label, line = place - 0.2, place + 0.2
    axes.text(0, label, row.label, transform=whole, va="center")
    if row.estimate is None:
        note = row.note if len(row.note) <= LONGEST_NOTE or not narrow else "the table below says why"
        said = axes.text(0, line, f"n/a: {note}" if note else "n/a", transform=whole, va="center")
        said.set_color(svg.MUTED)
        # Otherwise the axes would be made narrower until the reason fits beside them.
        said.set_in_layout(False)
        return
    value, color = row.estimate.value, svg.SIGNAL if row.strong else svg.MUTED
    axes.text(1, label, words.fraction(value), transform=whole, va="center", ha="right", weight="bold")
    if row.bound is not None:
        axes.plot([row.bound, max(row.bound, row.estimate.low)], [line, line], color=color, linewidth=1.5)
        axes.plot([row.bound, row.bound], [line - 0.13, line + 0.13], color=color, linewidth=1.5)
    axes.hlines(line, row.estimate.low, row.estimate.high, color=color, linewidth=6, alpha=0.45)
    axes.plot(
        [value],
        [line],
        row.marker,
        color=color,
        markersize=10,
        markeredgecolor=svg.PAPER,
        markeredgewidth=1.5,
        # At an AUC of 1, half of the mark lies beyond the axis.
        clip_on=False,
        zorder=3,
    )
