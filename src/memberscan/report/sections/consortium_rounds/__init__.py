"""What each attacker of a consortium's audits could tell after each round."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import line_plot, party_tables
from memberscan.report.content.consortium_json import ConsortiumContent, Entry
from memberscan.report.drawings import Drawing
from memberscan.report.line_plot import Line
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Table


@dataclass(frozen=True)
class ConsortiumRounds:
    """The figure, and its values by entry."""

    figure: Drawing
    values: list[tuple[str, Table]]


def data(content: ConsortiumContent) -> ConsortiumRounds | None:
    """Return the figure and its values; None if no attack was followed over the rounds."""
    lines = [line for entry in content.entries if (line := _main_line(entry))]
    if not lines:
        return None
    values = [(e.name, party_tables.by_round(e.by_round)) for e in content.entries if e.by_round]
    return ConsortiumRounds(line_plot.by_round(lines, band=len(lines) == 1), values)


def _main_line(entry: Entry) -> Line | None:
    """Return the accuracy by round of the strongest attack of an entry that was made after each round."""
    rows = line_plot.lines((row.attack, row.round, row.accuracy) for row in entry.by_round)
    lines = {line.label: line for line in rows}
    order = (*(finding.attack for finding in entry.findings), *lines)
    line = next((lines[attack] for attack in order if attack in lines), None)
    return line and Line(entry.name, line.x, line.estimates)


SECTION = Section(__name__, "rounds", "Round by round", data)
