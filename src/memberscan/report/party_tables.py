"""The tables of federations that several sections share: every pair, round and victim."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.report import words
from memberscan.report.content.federation_json import AfterRound, Pair, Victim
from memberscan.report.table_cells import NONE, Cell, Table, estimate, sides


def pairs(rows: Sequence[Pair]) -> Table:
    """Return every attack on every pair, the attacks in the order given."""
    cells = [
        [
            Cell(pair.attack),
            Cell(pair.attacker),
            Cell(pair.victim),
            estimate(pair.auc, words.rough) if pair.auc else Cell("n/a", pair.reason or ""),
            estimate(pair.accuracy, words.percent),
            Cell(words.p_value(pair.p_value)),
            Cell(words.p_value(pair.p_holm)),
            sides(pair.members, pair.nonmembers),
        ]
        for pair in rows
    ]
    caption = (
        "Every attack on every pair. The pair’s own 95% interval is below each estimate; the last p-value "
        "is corrected over all pairs of all attacks. Scored: members + non-members."
    )
    columns = ("Attack", "Attacker", "Victim", "AUC", "Accuracy", "p\u2011value", "p, Holm", "Scored")
    return Table(caption, columns, cells)


def by_round(rows: Sequence[AfterRound]) -> Table:
    """Return accuracy and AUC of each attack after each round."""
    cells = [
        [
            Cell(f"{row.round}"),
            Cell(row.attack),
            estimate(row.accuracy, words.percent),
            estimate(row.auc),
        ]
        for row in rows
    ]
    caption = "Pooled over pairs, with 95% intervals over people, by round."
    if any(row.round == 0 for row in rows):
        caption += " Round 0 is before any training."
    return Table(caption, ("Round", "Attack", "Accuracy", "AUC"), cells)


def victims(rows: Sequence[Victim]) -> Table:
    """Return how well each victim's people are told from the held-out ones without the model."""
    cells = [
        [
            Cell(row.name),
            NONE if row.auc is None else Cell(words.rough(row.auc)),
            Cell(words.p_value(row.p_value)),
            Cell(row.worst or "none") if row.tripped else Cell("none"),
        ]
        for row in rows
    ]
    caption = (
        "How well covariates alone, without any model, tell each learner’s people from those held out. "
        "P-values of single learners are corrected for their number (Holm)."
    )
    return Table(caption, ("Victim", "AUC, no model", "Permutation p\u2011value", "Told apart by"), cells)
