"""The figures of a federation: attacks by round, one line per attack or audit; attacks by coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from memberscan.report import svg, words
from memberscan.report.content.parts import Estimate
from memberscan.report.drawings import Drawing, both

_COLORS = (svg.MEMBER, svg.NONMEMBER, svg.SECOND, svg.INK)
_MARKERS = "os^Dv<>p"
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))


@dataclass(frozen=True)
class Line:
    """One line of a figure: its name, places and estimates."""

    label: str
    x: list[float]
    estimates: list[Estimate]


def lines(rows: Iterable[tuple[str, float, Estimate | None]]) -> list[Line]:
    """Return one line per attack, as attacks first appear.

    Parameters
    ----------
    rows
        Attack, place and estimate; rows without an estimate are left out.
    """
    grouped: dict[str, list[tuple[float, Estimate]]] = {}
    for attack, x, estimate in rows:
        if estimate is not None:
            grouped.setdefault(attack, []).append((x, estimate))
    ordered = {name: sorted(mine, key=lambda point: point[0]) for name, mine in grouped.items()}
    return [Line(name, [x for x, _ in mine], [e for _, e in mine]) for name, mine in ordered.items()]


def by_round(shown: Sequence[Line], *, band: bool, name: str = "rounds") -> Drawing:
    """Draw balanced accuracy by round, if asked with the interval of the first line as a band.

    The name is unique in the page.
    """
    return _figure(name, shown, "Accuracy by round", "round", "accuracy", words.percent, band=band)


def coverage(shown: Sequence[Line]) -> Drawing:
    """Draw the AUC by the share of a learner's people that the server has scans of."""
    return _figure(
        "coverage",
        shown,
        "AUC by coverage",
        "share of a learner’s people that the server has scans of",
        "AUC",
        words.rough,
        band=True,
    )


def _figure(
    name: str,
    shown: Sequence[Line],
    title: str,
    across: str,
    up: str,
    form: Callable[[float], str],
    *,
    band: bool,
) -> Drawing:
    said = "; ".join(
        f"{line.label}: {form(line.estimates[0].value)}, at last {form(line.estimates[-1].value)}"
        for line in shown
    )
    rows = (len(shown) + 1) // 2

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.grid(True, axis="y")
        axes.axhline(0.5, color=svg.MUTED, linewidth=1, linestyle=(0, (2, 3)))
        for place, line in enumerate(shown):
            _draw(axes, line, place, band=band and place == 0)
        axes.margins(x=0.02)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.45), max(high, 0.65))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: form(y)))
        if across == "round":
            axes.xaxis.set_major_locator(MaxNLocator(6 if narrow else 10, integer=True))
        else:
            axes.xaxis.set_major_locator(FixedLocator(sorted({x for line in shown for x in line.x})))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: words.percent(x)))
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.annotate(
            "chance", (1, 0.5), (0, -9), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="center", fontsize="small", color=svg.MUTED,
        )  # fmt: skip
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.01),
            ncols=1 if narrow else 2,
            frameon=False,
            borderaxespad=0,
            handlelength=3,
        )

    return both(
        name,
        (340 + 20 * rows, 280 + 19 * len(shown)),
        title,
        f"{up[0].upper()}{up[1:]} by {across}, where 0.5 is chance. {said}. The table below has the values.",
        paint,
    )


def _draw(axes: Axes, line: Line, place: int, *, band: bool) -> None:
    """Draw one line with its own marker and dashes, so that lines can be told apart without colour."""
    color = _COLORS[place % len(_COLORS)]
    values = [e.value for e in line.estimates]
    if band:
        low, high = [e.low for e in line.estimates], [e.high for e in line.estimates]
        axes.fill_between(line.x, low, high, color=color, alpha=0.14, linewidth=0)
    axes.plot(
        line.x,
        values,
        color=color,
        linewidth=1.8,
        linestyle=_DASHES[place // len(_COLORS) % len(_DASHES)],
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=6,
        markeredgecolor=svg.PAPER,
        markeredgewidth=0.8,
        markevery=max(1, len(line.x) // 8),
        label=line.label,
    )
