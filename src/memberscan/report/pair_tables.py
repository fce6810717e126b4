"""The tables of federated audits: every pair, round and victim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memberscan.report import parties, words
from memberscan.report.tables import NONE, Cell, Table, counted, estimate, sides


def pairs(rows: Sequence[dict[str, Any]]) -> Table:
    """Return every attack on every pair, the attacks in the order given."""
    cells = [
        [
            Cell(pair["attack"]),
            Cell(pair["attacker"]),
            Cell(pair["victim"]),
            estimate(pair["auc"]) if pair["auc"] else Cell("n/a", pair["reason"] or ""),
            estimate(pair["accuracy"], words.percent),
            Cell(words.p_value(pair["p_value"])),
            Cell(words.p_value(pair["p_holm"])),
            sides(pair),
        ]
        for pair in rows
    ]
    caption = (
        "Every attack on every pair. Under each estimate stands the pair’s own 95% interval; the last "
        "p-value is corrected over all pairs of its attack. Scored: members + non-members."
    )
    columns = ("Attack", "Attacker", "Victim", "AUC", "Accuracy", "p\u2011value", "p, Holm", "Scored")
    return Table(caption, columns, cells)


def by_round(rows: Sequence[dict[str, Any]]) -> Table:
    """Return accuracy and AUC of each attack after each round."""
    cells = [
        [
            Cell(f"{row['round']}"),
            Cell(row["attack"]),
            estimate(row["accuracy"], words.percent),
            estimate(row["auc"]),
        ]
        for row in rows
    ]
    caption = "Pooled over pairs, with 95% intervals over people, by round; round 0 is before any training."
    return Table(caption, ("Round", "Attack", "Accuracy", "AUC"), cells)


def coverage(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the AUC of each attack by coverage."""
    cells = [
        [Cell(row["attack"]), Cell(words.percent(row["coverage"])), estimate(row["auc"])] for row in rows
    ]
    caption = "By the share of a learner’s people for whom the server holds a scan, with 95% intervals."
    return Table(caption, ("Attack", "Coverage", "AUC"), cells)


def learners(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the learners and their people."""
    cells = [
        [
            Cell(row["name"]),
            Cell(counted(row["members"])),
            NONE if row["age_mean"] is None else Cell(words.years(row["age_mean"])),
            NONE if row["age_sd"] is None else Cell(words.years(row["age_sd"])),
        ]
        for row in rows
    ]
    return Table(
        "The learners and the people each trained on; ages in years.",
        ("Learner", "People", "Mean age", "SD of age"),
        cells,
    )


def victims(rows: Sequence[dict[str, Any]]) -> Table:
    """Return how well each victim's people are told from the held-out ones without the model."""
    cells = [
        [
            Cell(row["name"]),
            NONE if row["auc"] is None else Cell(words.rough(row["auc"])),
            Cell(words.p_value(row["p_value"])),
            Cell(row["worst"] or "none") if row["tripped"] else Cell("none"),
        ]
        for row in rows
    ]
    caption = (
        "How well each learner’s people are told from those held out by what is known without any model."
    )
    return Table(caption, ("Victim", "AUC, no model", "Permutation p-value", "Told apart by"), cells)


def left_out(rows: Sequence[dict[str, Any]]) -> Table:
    """Return who was left out of which round."""
    cells = [[Cell(f"{row['round']}"), Cell(row["learner"]), Cell(row["reason"])] for row in rows]
    caption = "Learners whose part did not go into the global model of a round."
    return Table(caption, ("Round", "Learner", "Reason"), cells)


def audits(content: dict[str, Any]) -> Table:
    """Return the audits that were merged."""
    cells = [
        [
            Cell(row["name"], row["entry"]),
            Cell(words.LABELS[row["verdict"]]),
            Cell(words.rough(row["smallest_detectable_auc"])),
            Cell(f"{row['members']:,}\u00a0+\u00a0{row['nonmembers']:,}"),
        ]
        for row in content["audits"]
    ]
    caption = (
        "The audits, each with its own verdict. Smallest: the smallest AUC that it would have detected with "
        "80% power. People: members + non-members."
    )
    return Table(caption, ("Audit", "Verdict", "Smallest AUC", "People"), cells)


def findings(entries: Sequence[dict[str, Any]]) -> Table:
    """Return every attack of every entry."""
    cells = [
        [
            Cell(finding["attack"]),
            Cell(entry["name"]),
            estimate(finding["auc"]),
            estimate(finding["accuracy"], words.percent),
            Cell(f"{finding['sites']}"),
        ]
        for entry in entries
        for finding in entry["findings"]
    ]
    caption = (
        "Every attack, pooled over pairs, with 95% intervals; where several audits were joined, their mean."
    )
    return Table(caption, ("Attack", "Who attacks what", "AUC", "Accuracy", "Audits"), cells)


def not_run(entries: Sequence[dict[str, Any]]) -> Table:
    """Return the attacks that were not run, by audit."""
    cells = [
        [Cell(row["attack"]), Cell(row["audit"]), Cell(row["reason"])]
        for entry in entries
        for row in entry["not_run"]
    ]
    return Table(
        "Nothing is known about what these attacks would have shown.", ("Attack", "Audit", "Reason"), cells
    )


def secure(entries: Sequence[dict[str, Any]], names: Sequence[str]) -> Table:
    """Return what is left to each of the attackers ``names``, with and without secure aggregation."""
    cells = []
    for entry in sorted((e for e in entries if e["name"] in names), key=lambda e: names.index(e["name"])):
        best = next(iter(entry["findings"]), None)
        tried = parties.judged(entry["pairs"], best["attack"]) if best else []
        cells.append(
            [
                Cell(entry["name"]),
                Cell(sees(entry)),
                estimate(best["auc"]) if best else Cell("n/a", "no attack could run"),
                Cell(best["attack"] if best else "none"),
                Cell(f"{sum(map(parties.shown, tried))} of {len(tried)}" if tried else "n/a"),
            ]
        )
    caption = (
        "The strongest attack of each attacker. n/a is not zero: it says that there was nothing to attack."
    )
    return Table(caption, ("Who attacks what", "Sees", "AUC", "Attack", "Pairs shown"), cells)


def sees(entry: dict[str, Any]) -> str:
    """Return what the attacker of an entry sees, in a few words."""
    return {
        "outsider": "the final model",
        "learner": "each global model",
        "aggregate": "sums over learners",
    }.get(entry["attacker"], "every learner’s model" if entry["visible_to_server"] else "ciphertexts")
