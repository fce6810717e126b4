"""What an attacker within a federation could tell after each round."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import line_plot, party_tables, ranking
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.drawings import Drawing
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Table


@dataclass(frozen=True)
class RoundCurves:
    """The figure and its values; ``several`` is whether more than one attack is drawn."""

    several: bool
    figure: Drawing
    values: Table


def data(audit: AuditContent) -> RoundCurves | None:
    """Return the figure and its values; None if no attack was followed over the rounds."""
    if audit.federation is None:
        return None
    rows = audit.federation.by_round
    lines = line_plot.lines((row.attack, row.round, row.accuracy) for row in rows)
    if not lines:
        return None
    order = ranking.basis(audit).ranking
    lines.sort(key=lambda line: order.index(line.label) if line.label in order else len(order))
    return RoundCurves(len(lines) > 1, line_plot.by_round(lines, band=True), party_tables.by_round(rows))


SECTION = Section(__name__, "rounds", "Round by round", data)
