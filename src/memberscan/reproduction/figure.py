"""The figures of a reproduction: accuracy by round beside the paper's curve, and by overfitting."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from memberscan.report import svg, words
from memberscan.report.content.parts import Estimate
from memberscan.report.drawings import Drawing, both
from memberscan.report.line_plot import Line, by_round
from memberscan.reproduction import paper
from memberscan.reproduction.content import Curve, Length

_MARKS = ((svg.MEMBER, "o"), (svg.NONMEMBER, "s"))


def draw_curves(model: str, curves: Sequence[Curve]) -> Drawing | None:
    """Draw the accuracy of learners' attacks by round in all environments, and the paper's; None without any.

    Parameters
    ----------
    model
        The model.
    curves
        Its federations.
    """
    lines = [
        Line(curve.environment, [float(e.round) for e in curve.rounds], [e.accuracy for e in curve.rounds])
        for curve in curves
        if curve.rounds
    ]
    if not lines:
        return None
    theirs = paper.CURVES[model]
    exact = [Estimate(value=value, low=value, high=value) for value in theirs.values()]
    lines.append(Line("uniform-iid in the paper", [float(n) for n in theirs], exact))
    return by_round(lines, band=True, name=f"rounds-{model}")


def draw_overfitting(lengths: Sequence[Length]) -> Drawing | None:
    """Draw the accuracy of the black-box attack over the difference of the errors; None without any."""
    models = [model for model in paper.MODELS if any(each.model == model for each in lengths)]
    if not models:
        return None
    said = "; ".join(f"{each.model}, {each.epochs} epochs: {_place(each)}" for each in lengths)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.grid(True, axis="y")
        axes.axhline(0.5, color=svg.MUTED, linewidth=1, linestyle=(0, (2, 3)))
        for model, style in zip(models, _MARKS, strict=False):
            _mark(axes, [each for each in lengths if each.model == model], *style)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: words.percent(y)))
        axes.set_xlabel("error on non-members minus that on members (years)")
        axes.set_ylabel("accuracy")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=1 if narrow else 2, frameon=False)

    return both(
        "overfitting",
        (380, 340),
        "Leakage by overfitting",
        "Balanced accuracy of the black-box attack over the difference between the errors on non-members and "
        f"members, where 0.5 is chance. {said}.",
        paint,
    )


def _mark(axes: Axes, mine: Sequence[Length], color: str, marker: str) -> None:
    """Draw the lengths of one model, each with its interval and its number of epochs."""
    x, found = [_gap(each) for each in mine], [each.accuracy for each in mine]
    values = [each.value for each in found]
    axes.vlines(x, [e.low for e in found], [e.high for e in found], color=color, alpha=0.35)
    axes.plot(
        x, values, color=color, marker=marker, markersize=8, markeredgecolor=svg.PAPER, label=mine[0].model
    )
    for each, place, value in zip(mine, x, values, strict=True):
        axes.annotate(str(each.epochs), (place, value), (7, 7), textcoords="offset points", fontsize="small")


def _gap(each: Length) -> float:
    return each.error_nonmembers - each.error_members


def _place(each: Length) -> str:
    return f"{_gap(each):.1f} years, {words.percent(each.accuracy.value)}"
