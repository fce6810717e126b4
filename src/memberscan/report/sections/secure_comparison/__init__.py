"""What secure aggregation changed: the same model and environment, in the clear and encrypted."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.report import party_words
from memberscan.report.content.consortium_json import ConsortiumContent, Entry
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table, estimate


def data(content: ConsortiumContent) -> list[tuple[str, Table]] | None:
    """Return a heading and a table for each comparison; None if there is none."""
    compared = [
        (
            f"{comparison.model}, {party_words.ENVIRONMENTS[comparison.environment]}",
            comparison_table(content.entries, comparison.entries),
        )
        for comparison in content.secure
    ]
    return compared or None


def comparison_table(entries: Sequence[Entry], names: Sequence[str]) -> Table:
    """Return the strongest attack of each of the attackers ``names``, with and without secure aggregation."""
    cells = []
    for entry in sorted((e for e in entries if e.name in names), key=lambda e: names.index(e.name)):
        best = next(iter(entry.findings), None)
        tried = party_words.judged(entry.pairs, best.attack) if best else []
        cells.append(
            [
                Cell(entry.name),
                Cell(sees(entry)),
                estimate(best.auc) if best else Cell("n/a", "no attack could run"),
                Cell(best.attack if best else "none"),
                Cell(f"{sum(map(party_words.shown, tried))} of {len(tried)}" if tried else "n/a"),
            ]
        )
    caption = (
        "The strongest attack of each attacker. n/a means that there was nothing to attack; it does not "
        "mean zero."
    )
    return Table(caption, ("Who attacks what", "Sees", "AUC", "Attack", "Pairs shown"), cells)


def sees(entry: Entry) -> str:
    """Return what the attacker of an entry sees, in a few words."""
    return {
        "outsider": "the final model",
        "learner": "each global model",
        "aggregate": "sums over learners",
    }.get(entry.attacker, "every learner’s model" if entry.visible_to_server else "ciphertexts")


SECTION = Section(__name__, "secure", "Secure aggregation", data)
