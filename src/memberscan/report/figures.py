"""The figures of the report, each drawn twice: for a page and for a phone, so that text never shrinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from memberscan.report import svg, tables, words

WIDE, NARROW = 780, 350


@dataclass(frozen=True)
class Drawing:
    """One figure in both widths."""

    wide: Markup
    narrow: Markup


def both(
    name: str,
    heights: tuple[int, int],
    title: str,
    description: str,
    paint: Callable[[Figure, bool], None],
) -> Drawing:
    """Draw both widths; ``paint`` is told whether it draws the narrow one."""
    wide = svg.draw(name, WIDE, heights[0], title, description, lambda f: paint(f, False))
    narrow = svg.draw(f"{name}-narrow", NARROW, heights[1], title, description, lambda f: paint(f, True))
    return Drawing(wide, narrow)


def roc(audit: dict[str, Any]) -> Drawing:
    """Draw the ROC curves on log-log axes, down to the rate that the scored non-members can resolve."""
    first = words.strongest(audit)
    second = words.runner_up(audit)
    resolved = max([1, *(f["scored"]["nonmembers"] for f in audit["findings"])])

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        _roc_axes(axes, 1 / resolved, narrow)
        for finding in audit["findings"]:
            if finding is not first and finding is not second:
                _curve(axes, finding, color=svg.MUTED, linewidth=1, alpha=0.5)
        if second is not None:
            _curve(axes, second, color=svg.SECOND, linewidth=2, linestyle=(0, (5, 2)))
        if first is not None:
            _curve(axes, first, color=svg.TONE, linewidth=2.6)

    shown = words.listed([f["attack"] for f in (first, second) if f])
    return both(
        "roc",
        (490, 315),
        "ROC curves on logarithmic axes",
        f"Share of members found against share of non-members wrongly named; {shown} stand out. "
        f"Rates below one in {resolved:,} cannot be resolved. The table below holds values.",
        paint,
    )


def _roc_axes(axes: Axes, floor: float, narrow: bool) -> None:
    start = min(floor / 2.2, 0.1)
    axes.set(xscale="log", yscale="log", xlim=(start, 1), ylim=(start, 1))
    axes.set_box_aspect(0.8 if narrow else 0.62)
    axes.grid(True)
    axes.axvspan(start, floor, color=svg.SHADE, linewidth=0)
    axes.plot([start, 1], [start, 1], color=svg.MUTED, linewidth=1, linestyle=(0, (2, 3)))
    axes.annotate(
        "chance", (0.55, 0.55), (3, -9), textcoords="offset points", fontsize="small", color=svg.MUTED
    )
    middle = (start * floor) ** 0.5
    axes.text(
        middle,
        start**0.5,
        "too few people to tell",
        rotation=90,
        ha="center",
        va="center",
        fontsize="small",
        color=svg.MUTED,
    )
    ticks = [t for t in (0.0001, 0.001, 0.01, 0.1, 1) if t >= start]
    if len(ticks) < 3:
        ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if t >= start]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda x, _: words.percent(x)))
    axes.set_xlabel("non-members wrongly named")
    axes.set_ylabel("members found")


def _curve(axes: Axes, finding: dict[str, Any], **style: Any) -> None:
    """Draw one curve as steps, thinned to what the eye can see, from one non-member upwards."""
    floor = 1 / max(1, finding["scored"]["nonmembers"])
    rates = np.geomspace(floor, 1, 160)
    found = np.array([tables.true_positive_rate(finding["roc"], rate) for rate in rates])
    change = np.concatenate([[True], np.diff(found) > 0])
    change[-1] = True
    change &= found > 0
    axes.plot(rates[change], found[change], drawstyle="steps-post", **style)


def residuals(audit: dict[str, Any]) -> Drawing:
    """Draw quantiles of age minus prediction by age band, members beside non-members."""
    bands = audit["residuals"]["bands"]

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.axhline(0, color=svg.MUTED, linewidth=1)
        axes.grid(True, axis="y")
        for place, band in enumerate(bands):
            for key, shift, color, marker in (
                ("members", -0.17, svg.MEMBER, "o"),
                ("nonmembers", 0.17, svg.NONMEMBER, "s"),
            ):
                if band[key]:
                    _quantiles(axes, place + shift, band[key], color, marker, 10 if narrow else 22)
        for label, color, marker in (("members", svg.MEMBER, "o"), ("non-members", svg.NONMEMBER, "s")):
            axes.plot([], [], marker, color=color, markersize=9, label=label)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0, handletextpad=0
        )
        axes.set_xlim(-0.6, len(bands) - 0.4)
        axes.xaxis.set_major_locator(FixedLocator(range(len(bands))))
        axes.set_xticklabels([words.ages(b["low"], b["high"], "–") for b in bands])
        if narrow and len(bands) > 5:
            axes.tick_params(axis="x", labelsize=10)
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "−")))
        axes.set_xlabel("age in years")
        axes.set_ylabel("age − prediction (years)")

    sides = (
        (s, audit["target"][f"mae_{k}"]) for s, k in (("members", "members"), ("non-members", "nonmembers"))
    )
    said = ", ".join(f"{words.years(mae)} years on {side}" for side, mae in sides)
    return both(
        "residuals",
        (420, 340),
        "Errors of the model by age",
        "Quantiles of age minus prediction by age band, for members and non-members. "
        f"Mean absolute error: {said}. The table below holds all values.",
        paint,
    )


def _quantiles(axes: Axes, x: float, group: dict[str, Any], color: str, marker: str, width: int) -> None:
    if group["q10"] is not None:
        axes.plot([x, x], [group["q10"], group["q90"]], color=color, linewidth=1.5)
    if group["q25"] is not None:
        axes.plot([x, x], [group["q25"], group["q75"]], color=color, linewidth=width, alpha=0.5)
    if group["q50"] is not None:
        style: dict[str, Any] = {"markersize": 7, "markeredgecolor": svg.PAPER, "markeredgewidth": 1.2}
        axes.plot([x], [group["q50"]], marker, color=color, **style)
