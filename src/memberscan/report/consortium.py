"""Several audits as one: those of sites joined, those of attackers and federations side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from memberscan import __version__
from memberscan.errors import BadInputError, MisalignedError
from memberscan.report import joining, parties, words
from memberscan.report.schema import CONSORTIUM_SCHEMA, check

Audits = Mapping[str, dict[str, Any]]


def consortium(audits: Audits) -> dict[str, Any]:
    """Return the content of consortium.json.

    Audits of one transcript and one attacker are taken for those of different sites, each with its own people
    as victims: pairs and victims are put together, Holm's correction runs over all pairs, and pooled values
    are means over sites (:func:`memberscan.report.joining.mean_over_sites`, which says what they are not). All
    others stand side by side. An audit given twice counts once.

    No verdict is made here: each audit keeps its own.

    Parameters
    ----------
    audits
        Contents of audit.json by the name under which each is shown.

    Raises
    ------
    BadInputError
        If there is no audit.
    AuditFileError
        If one of them is incomplete, or of a schema this version does not know.
    MisalignedError
        If two audits of one transcript and attacker hold pairs of the same victim.
    """
    if not audits:
        raise BadInputError("there is no audit to merge; name at least one directory that memberscan audit wrote")
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for name, audit in audits.items():
        federation = check(audit)["federation"]
        key = (federation["transcript"], federation["attacker"]) if federation else ("", name)
        groups.setdefault(key, {})[name] = audit
    labels = _labels(list(groups.values()))
    entries = [_entry(group, *label) for group, label in zip(groups.values(), labels, strict=True)]
    return {
        "schema": CONSORTIUM_SCHEMA,
        "memberscan": __version__,
        "audits": [_audit(name, audits[name], entry) for entry in entries for name in entry["audits"]],
        "entries": entries,
        "secure": _secure(entries),
        "sites": _sites(entries),
    }


def _labels(groups: list[dict[str, dict[str, Any]]]) -> list[tuple[str, str | None]]:
    """Return the label of each entry and of its federation, told apart by transcript where they must be."""
    firsts = [next(iter(group.items())) for group in groups]
    transcripts: dict[str, set[str]] = {}
    for _, audit in firsts:
        if audit["federation"]:
            transcripts.setdefault(_federation(audit), set()).add(audit["federation"]["transcript"])
    labels: list[tuple[str, str | None]] = []
    for name, audit in firsts:
        federation = audit["federation"]
        if federation is None:
            labels.append((f"{name}, {audit['target']['model']}, no federation", None))
            continue
        label = _federation(audit)
        if len(transcripts[label]) > 1:
            label += f", {federation['transcript'][:6]}"
        labels.append((f"{label}: {parties.ATTACKERS[federation['attacker']]}", label))
    return labels


def _federation(audit: dict[str, Any]) -> str:
    federation = audit["federation"]
    label = f"{audit['target']['model']}, {parties.ENVIRONMENTS[federation['environment']]}"
    return f"{label}, CKKS" if federation["secure"] == "ckks" else label


def _audit(name: str, audit: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    verdict = audit["verdict"]
    return {
        "name": name,
        "entry": entry["name"],
        **{key: audit["target"][key] for key in ("members", "nonmembers", "synthetic")},
        "verdict": verdict["label"],
        "sentence": verdict["sentence"],
        "smallest_detectable_auc": verdict["smallest_detectable_auc"],
    }


def _entry(group: dict[str, dict[str, Any]], name: str, federation: str | None) -> dict[str, Any]:
    first = next(iter(group.values()))
    facts = first["federation"] or {
        "environment": None,
        "attacker": "outsider",
        "secure": "none",
        "visible_to_server": False,
        "transcript": None,
        "rounds": None,
    }
    parts = _once(group)
    held = [part["federation"] for part in parts.values() if part["federation"]]
    kept = ("environment", "attacker", "secure", "visible_to_server", "transcript", "rounds")
    return {
        "name": name,
        "federation": federation,
        "model": first["target"]["model"],
        **{key: facts[key] for key in kept},
        "audits": list(group),
        "learners": joining.rows(
            ([_named(row) for row in part["learners"]] for part in held), _by_name, ()
        ),
        "findings": _findings(parts),
        "not_run": [{"audit": site, **row} for site, part in parts.items() for row in part["not_run"]],
        "pairs": _pairs(parts),
        "victims": _victims(held),
        "by_round": joining.rows(
            (f["by_round"] for f in held), lambda r: (r["round"], r["attack"]), ("auc", "accuracy")
        ),
        "coverage": joining.rows(
            (f["coverage"] for f in held), lambda r: (r["attack"], r["coverage"]), ("auc",)
        ),
        "sources": _sources([f["sources"] for f in held if f["sources"]]),
        "left_out": joining.rows(
            (f["left_out"] for f in held), lambda r: (r["round"], words.natural(r["learner"])), ()
        ),
    }
