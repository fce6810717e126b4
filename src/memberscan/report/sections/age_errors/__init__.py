"""Errors of the model on both sides, and by age."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from memberscan.report import svg, words
from memberscan.report.content.audit_json import AuditContent, Band, Quantiles, Target
from memberscan.report.drawings import Drawing, both
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table


@dataclass(frozen=True)
class AgeErrors:
    """What the section shows; no figure where no band has enough people for a median.

    ``tails`` is whether any band has enough people for the 10% and 90% quantiles.
    """

    errors: Table
    smallest: int
    figure: Drawing | None
    tails: bool
    values: Table


def data(audit: AuditContent) -> AgeErrors:
    """Return what the section shows."""
    bands, smallest = audit.residuals.bands, audit.disclosure.smallest_cell
    sides = [side for band in bands for side in (band.members, band.nonmembers)]
    drawable = any(side is not None and side.q50 is not None for side in sides)
    figure = draw(bands, audit.target) if drawable else None
    tails = any(side is not None and side.q10 is not None for side in sides)
    return AgeErrors(error_table(audit.target), smallest, figure, tails, quantile_table(bands, smallest))


def error_table(target: Target) -> Table:
    """Return the errors of the model on both sides."""
    rows = [
        [Cell(name), Cell(words.years(members)), Cell(words.years(nonmembers))]
        for name, members, nonmembers in (
            ("Mean absolute error", target.mae_members, target.mae_nonmembers),
            ("Root mean squared error", target.rmse_members, target.rmse_nonmembers),
        )
    ]
    return Table("Errors of the model, in years.", ("Error", "Members", "Non-members"), rows)


def quantile_table(bands: Sequence[Band], smallest: int) -> Table:
    """Return the quantiles of age minus prediction by age band and side."""
    caption = (
        "Age minus prediction, in years: quantiles by age band. Groups of fewer than "
        f"{smallest} people per side are joined or not shown."
    )
    columns = ("Age", "Side", "People", "10%", "25%", "Median", "75%", "90%")
    return Table(caption, columns, list(_rows(bands, smallest)))


def _rows(bands: Sequence[Band], smallest: int) -> Iterator[list[Cell]]:
    for band in bands:
        for side, group in (("members", band.members), ("non-members", band.nonmembers)):
            known = (group.q10, group.q25, group.q50, group.q75, group.q90) if group else (None,) * 5
            values = [NONE if value is None else Cell(words.years(value)) for value in known]
            people = Cell(words.count(group.n)) if group else Cell(f"under {smallest}")
            yield [Cell(words.ages(band.low, band.high, " to ")), Cell(side), people, *values]


def draw(bands: Sequence[Band], target: Target) -> Drawing:
    """Draw quantiles of age minus prediction by age band, members beside non-members."""

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        # With few bands, bars of the usual width would be thin lines in an empty figure.
        width = round((10 if narrow else 22) * min(max(4 / len(bands), 1), 3))
        axes.axhline(0, color=svg.MUTED, linewidth=1)
        axes.grid(True, axis="y")
        for place, band in enumerate(bands):
            for group, shift, color, marker in (
                (band.members, -0.17, svg.MEMBER, "o"),
                (band.nonmembers, 0.17, svg.NONMEMBER, "s"),
            ):
                if group:
                    _quantiles(axes, place + shift, group, color, marker, width)
        for label, color, marker in (("members", svg.MEMBER, "o"), ("non-members", svg.NONMEMBER, "s")):
            axes.plot([], [], marker, color=color, markersize=9, label=label)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0, handletextpad=0
        )
        axes.set_xlim(-0.6, len(bands) - 0.4)
        axes.xaxis.set_major_locator(FixedLocator(range(len(bands))))
        axes.set_xticklabels([words.ages(b.low, b.high, "–") for b in bands])
        if narrow and len(bands) > 5:
            axes.tick_params(axis="x", labelsize=10)
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "−")))
        axes.set_xlabel("age in years")
        axes.set_ylabel("age − prediction (years)")

    said = (
        f"{words.years(target.mae_members)} years on members, "
        f"{words.years(target.mae_nonmembers)} years on non-members"
    )
    return both(
        "residuals",
        (420, 340),
        "Errors of the model by age",
        "Quantiles of age minus prediction by age band, for members and non-members. "
        f"Mean absolute error: {said}. The table below holds all values.",
        paint,
    )


def _quantiles(axes: Axes, x: float, group: Quantiles, color: str, marker: str, width: int) -> None:
    if group.q10 is not None and group.q90 is not None:
        axes.plot([x, x], [group.q10, group.q90], color=color, linewidth=1.5)
    if group.q25 is not None and group.q75 is not None:
        # Other ends would make the bar longer than the quantiles are apart, by its width.
        box: dict[str, Any] = {"linewidth": width, "solid_capstyle": "butt"}
        axes.plot([x, x], [group.q25, group.q75], color=color, alpha=0.5, **box)
    if group.q50 is not None:
        style: dict[str, Any] = {"markersize": 7, "markeredgecolor": svg.PAPER, "markeredgewidth": 1.2}
        axes.plot([x], [group.q50], marker, color=color, **style)


SECTION = Section(__name__, "errors", "Errors by age", data)
