"""Who can learn about whom: every pair of an attacker and a victim, and other explanations."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import line_plot, pair_grid, party_tables, party_words, ranking, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.federation_json import AtCoverage, Federation
from memberscan.report.drawings import Drawing
from memberscan.report.page_section import Section
from memberscan.report.pair_grid import PairGrid
from memberscan.report.table_cells import Cell, Table, estimate


@dataclass(frozen=True)
class PartyPairs:
    """What the section shows.

    ``caveats`` are the victims whose people differ without the model, with the result of that check;
    ``checked`` is whether that check had any covariate, and None where it does not apply.
    """

    success: str
    grid: PairGrid
    pairs: Table
    caveats: list[tuple[str, str]]
    checked: bool | None
    victims: Table | None
    sources: str | None
    coverage: Drawing | None
    coverage_table: Table


def data(audit: AuditContent) -> PartyPairs | None:
    """Return what the section shows; None if no pair was attacked."""
    federation = audit.federation
    if federation is None:
        return None
    attack = party_words.main_attack(ranking.basis(audit).ranking, federation.pairs)
    return None if attack is None else _of(federation, attack)


def _of(federation: Federation, attack: str) -> PartyPairs:
    together = (federation.together,) if federation.together else ()
    victims = (*federation.victims, *together)
    grid = pair_grid.build(federation.pairs, attack)
    lines = line_plot.lines((row.attack, row.coverage, row.auc) for row in federation.coverage)
    return PartyPairs(
        success=party_words.success(federation.pairs, attack, federation.victims, together),
        grid=grid,
        pairs=party_tables.pairs(federation.pairs),
        caveats=[(victim.name, party_words.caveat(victim)) for victim in party_words.confounded(victims)],
        checked=party_words.checked(victims) if len(grid.victims) > 1 or victims else None,
        victims=party_tables.victims(victims) if victims else None,
        sources=party_words.sources(federation.sources) if federation.sources else None,
        coverage=line_plot.coverage(lines) if lines else None,
        coverage_table=coverage_table(federation.coverage),
    )


def coverage_table(rows: tuple[AtCoverage, ...]) -> Table:
    """Return the AUC of each attack by coverage."""
    cells = [
        [Cell(row.attack), Cell(words.percent(row.coverage)), estimate(row.auc, words.rough)] for row in rows
    ]
    caption = "By the share of a learner’s people that the server has scans of, with 95% intervals."
    return Table(caption, ("Attack", "Coverage", "AUC"), cells)


SECTION = Section(__name__, "pairs", "Who can learn about whom", data, styles=("templates/grid.css",))
