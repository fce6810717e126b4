"""Errors of the model on both sides, and by age or another target."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from memberscan.report import svg, words
from memberscan.report.content.audit_json import AuditContent, Band, Quantiles, Target
from memberscan.report.content.variable_json import Variable
from memberscan.report.drawings import Drawing, both
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table


@dataclass(frozen=True)
class ModelErrors:
    """What the section shows, and the target's name; no figure where no band has people enough for a median.

    ``tails`` is whether any band has enough people for the 10% and 90% quantiles.
    """

    name: str
    capital: str
    errors: Table
    smallest: int
    figure: Drawing | None
    tails: bool
    values: Table


def data(audit: AuditContent) -> ModelErrors:
    """Return what the section shows."""
    bands, smallest = audit.residuals.bands, audit.disclosure.smallest_cell
    sides = [side for band in bands for side in (band.members, band.nonmembers)]
    drawable = any(side is not None and side.q50 is not None for side in sides)
    figure = draw(bands, audit.target) if drawable else None
    tails = any(side is not None and side.q10 is not None for side in sides)
    variable = audit.target.variable
    values = quantile_table(bands, smallest, variable)
    errors = error_table(audit.target)
    return ModelErrors(variable.name, _capital(variable), errors, smallest, figure, tails, values)


def error_table(target: Target) -> Table:
    """Return the errors of the model on both sides."""
    variable = target.variable
    columns = ("Error", "Members", "Non-members")
    if variable.classes:
        losses = [Cell(words.rough(rmse**2 / 2)) for rmse in (target.rmse_members, target.rmse_nonmembers)]
        guess = words.rough(math.log(len(variable.classes)))
        caption = (
            f"Errors of the model. The cross-entropy is the mean of −log p over people, p being the "
            f"probability of a person’s own class; giving all {len(variable.classes)} classes the same "
            f"probability has {guess}."
        )
        return Table(caption, columns, [[Cell("Mean cross-entropy, nats"), *losses]])
    rows = [
        [Cell(name), Cell(words.amount(members, variable)), Cell(words.amount(nonmembers, variable))]
        for name, members, nonmembers in (
            ("Mean absolute error", target.mae_members, target.mae_nonmembers),
            ("Root mean squared error", target.rmse_members, target.rmse_nonmembers),
        )
    ]
    return Table(f"Errors of the model, in {variable.unit}.", columns, rows)


def quantile_table(bands: Sequence[Band], smallest: int, variable: Variable) -> Table:
    """Return the quantiles of true value minus prediction by band and side."""
    caption = (
        f"{_capital(variable)} minus prediction, in {variable.unit}: quantiles by {variable.name} band. "
        "Groups of fewer than "
        f"{smallest} people per side are joined or not shown."
    )
    columns = (_capital(variable), "Side", "People", "10%", "25%", "Median", "75%", "90%")
    return Table(caption, columns, list(_rows(bands, smallest, variable)))


def _capital(variable: Variable) -> str:
    return variable.name[:1].upper() + variable.name[1:]


def _rows(bands: Sequence[Band], smallest: int, variable: Variable) -> Iterator[list[Cell]]:
    for band in bands:
        for side, group in (("members", band.members), ("non-members", band.nonmembers)):
            known = (group.q10, group.q25, group.q50, group.q75, group.q90) if group else (None,) * 5
            values = [NONE if value is None else Cell(words.amount(value, variable)) for value in known]
            people = Cell(words.count(group.n)) if group else Cell(f"under {smallest}")
            yield [Cell(words.band(band.low, band.high, " to ")), Cell(side), people, *values]


def draw(bands: Sequence[Band], target: Target) -> Drawing:
    """Draw quantiles of true value minus prediction by band, members beside non-members."""
    variable = target.variable

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
        axes.set_xticklabels([words.band(b.low, b.high, "–") for b in bands])
        if narrow and len(bands) > 5:
            axes.tick_params(axis="x", labelsize=10)
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "−")))
        axes.set_xlabel(f"{variable.name} in {variable.unit}")
        axes.set_ylabel(f"{variable.name} − prediction ({variable.unit})")

    said = (
        f"{words.error_of_model(target.mae_members, variable)} on members, "
        f"{words.error_of_model(target.mae_nonmembers, variable)} on non-members"
    )
    return both(
        "residuals",
        (420, 340),
        f"Errors of the model by {variable.name}",
        f"Quantiles of {variable.name} minus prediction by {variable.name} band, for both sides. "
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


SECTION = Section(__name__, "errors", "Errors of the model", data)
