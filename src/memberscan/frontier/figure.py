"""The figure of a frontier: error against leakage, one mark for each point, and the lines to beat."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from memberscan.frontier.content import FrontierContent, FrontierPoint
from memberscan.frontier.points import EARLY_STOPPING, UNDEFENDED
from memberscan.report import svg, words
from memberscan.report.drawings import Drawing, both

_STYLES = {UNDEFENDED: (svg.INK, "o"), EARLY_STOPPING: (svg.NONMEMBER, "s"), "dp-sgd": (svg.MEMBER, "D")}
_COLORS = (svg.SECOND, svg.MUTED, svg.INK)
_MARKERS = "^v<>pP*Xhd"
_LOGARITHMIC = 4
"""From this ratio of errors on, their axis is logarithmic."""
_FAR = 1.3
"""A line at more than so many times the greatest error would leave no room for the points."""


def draw(content: FrontierContent, numbers: dict[str, int]) -> Drawing:
    """Draw the mean absolute error over the AUC of every point that did not fail.

    Parameters
    ----------
    content
        The points.
    numbers
        The number by which each point is named in the figure, by its name.
    """
    shown = [point for point in content.points if point.everybody is not None]
    families = list(dict.fromkeys(point.family for point in shown))
    said = "; ".join(f"{numbers[p.name]} {p.name}: {_place(p, content)}" for p in shown)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.grid(True)
        _scale(axes, shown, content)
        for family in families:
            _family(axes, [p for p in shown if p.family == family], _style(family, families), family)
        _staircase(axes, shown)
        for point in shown:
            _number(axes, point, numbers[point.name])
        _labels(axes, f"error on non-members ({content.variable.unit or 'deviance residual'})", narrow)

    rows = len(families) + 1
    return both(
        "frontier",
        (400 + 20 * -(-rows // 3), 330 + 19 * rows),
        "Error against leakage",
        f"Mean absolute error on non-members over the AUC of the strongest attack, 0.5 is chance. {said}.",
        paint,
    )


def _labels(axes: Axes, error: str, narrow: bool) -> None:
    axes.set_xlabel("leakage: AUC of the strongest attack")
    axes.set_ylabel(error)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=1 if narrow else 3,
        frameon=False,
        borderaxespad=0,
    )


def _place(point: FrontierPoint, content: FrontierContent) -> str:
    assert point.error is not None and point.everybody is not None
    error = words.error_of_model(point.error.value, content.variable)
    return f"error {error}, AUC {words.fraction(point.everybody.auc.value)}"


def _style(family: str, families: Sequence[str]) -> tuple[str, str]:
    others = [each for each in families if each not in _STYLES]
    if family in _STYLES:
        return _STYLES[family]
    place = others.index(family)
    return _COLORS[place % len(_COLORS)], _MARKERS[place % len(_MARKERS)]


def _scale(axes: Axes, shown: Sequence[FrontierPoint], content: FrontierContent) -> None:
    errors = [p.error.value for p in shown if p.error]
    if min(errors) > 0 and max(errors) / min(errors) > _LOGARITHMIC:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: words.rough(x)))
    axes.axvline(0.5, color=svg.MUTED, linewidth=1, linestyle=(0, (2, 3)))
    if content.constant_error > _FAR * max(errors):
        return
    axes.axhline(content.constant_error, color=svg.MUTED, linewidth=1, linestyle=(0, (2, 3)))
    axes.annotate(
        "the same answer for everybody", (1, content.constant_error), (0, 7), va="center",
        xycoords=("axes fraction", "data"), textcoords="offset points", ha="right", fontsize="small",
        color=svg.MUTED,
    )  # fmt: skip


def _family(axes: Axes, points: Sequence[FrontierPoint], style: tuple[str, str], name: str) -> None:
    color, marker = style
    line = name in _STYLES
    x = [p.everybody.auc for p in points if p.everybody]
    y = [p.error for p in points if p.error]
    for auc, error in zip(x, y, strict=True):
        axes.hlines(error.value, auc.low, auc.high, color=color, linewidth=2, alpha=0.35)
        axes.vlines(auc.value, error.low, error.high, color=color, linewidth=2, alpha=0.35)
    order = sorted(range(len(x)), key=lambda k: x[k].value)
    axes.plot(
        [x[k].value for k in order],
        [y[k].value for k in order],
        color=color,
        marker=marker,
        linewidth=1.4 if line else 0,
        markersize=9,
        markeredgecolor=svg.PAPER,
        markeredgewidth=1,
        label=name,
        zorder=3,
    )


def _staircase(axes: Axes, shown: Sequence[FrontierPoint]) -> None:
    """Draw the frontier: what is above and to the right of it is dominated."""
    best = sorted(
        (max(p.everybody.auc.value, 0.5), p.error.value)
        for p in shown
        if p.on_frontier and p.everybody and p.error
    )
    axes.step(
        [x for x, _ in best],
        [y for _, y in best],
        where="post",
        color=svg.SIGNAL,
        linewidth=1.5,
        linestyle=(0, (5, 3)),
        label="frontier",
        zorder=2,
    )


def _number(axes: Axes, point: FrontierPoint, number: int) -> None:
    assert point.error is not None and point.everybody is not None
    axes.annotate(
        str(number),
        (point.everybody.auc.value, point.error.value),
        (7, 7),
        textcoords="offset points",
        fontsize="small",
        weight="bold" if point.on_frontier else "normal",
        zorder=4,
    )
