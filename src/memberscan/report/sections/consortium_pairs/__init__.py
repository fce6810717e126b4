"""Who can learn about whom, in each federation that was audited as one of its parties."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import pair_grid, party_tables, party_words
from memberscan.report.content.consortium_json import ConsortiumContent, Entry
from memberscan.report.page_section import Section
from memberscan.report.pair_grid import PairGrid
from memberscan.report.table_cells import Table


@dataclass(frozen=True)
class EntryPairs:
    """One attacker in one federation.

    ``caveats`` are the victims whose people differ without the model; ``checked`` is whether that check had
    any covariate, and ``victims`` are its results, first those of each victim, then, if ``together``, those
    of all victims together.
    """

    name: str
    success: str
    grid: PairGrid
    caveats: list[tuple[str, str]]
    checked: bool
    victims: Table | None
    together: bool
    sources: str | None
    left_out: str | None
    pairs: Table


def data(content: ConsortiumContent) -> list[EntryPairs] | None:
    """Return what the section shows of each entry; None if no pair was attacked in any."""
    shown = [_of(entry, attack) for entry in content.entries if (attack := _main_attack(entry))]
    return shown or None


def _main_attack(entry: Entry) -> str | None:
    return party_words.main_attack([finding.attack for finding in entry.findings], entry.pairs)


def _of(entry: Entry, attack: str) -> EntryPairs:
    left_out = [f"{row.learner} of round {row.round} ({row.reason})" for row in entry.left_out]
    victims = (*entry.victims, *entry.together)
    return EntryPairs(
        name=entry.name,
        success=party_words.success(entry.pairs, attack, entry.victims, entry.together),
        grid=pair_grid.build(entry.pairs, attack),
        caveats=[(v.name, party_words.caveat(v)) for v in party_words.confounded(victims)],
        checked=party_words.checked(victims),
        victims=party_tables.victims(victims) if victims else None,
        together=bool(entry.together),
        sources=party_words.sources(entry.sources) if entry.sources else None,
        left_out=f"{'; '.join(left_out)}." if left_out else None,
        pairs=party_tables.pairs(entry.pairs),
    )


SECTION = Section(__name__, "pairs", "Who can learn about whom", data, styles=("templates/grid.css",))
