"""Several audits as one: those of sites joined, those of attackers and federations side by side."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from itertools import combinations
from typing import Any

from memberscan.errors import BadInputError, MisalignedError
from memberscan.report import joining, parties, words
from memberscan.report.schema import CONSORTIUM_SCHEMA, agreeing, check

Audits = Mapping[str, dict[str, Any]]


@agreeing
def consortium(audits: Audits) -> dict[str, Any]:
    """Return the content of consortium.json.

    Audits of one transcript and one attacker are taken for those of different sites, each with its own people
    as victims: pairs and victims are put together, Holm's correction runs over all pairs of an attack, and
    pooled values are means over sites (:func:`memberscan.report.joining.mean_over_sites` says what they are
    not). All others stand side by side. An audit given twice counts once.

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
        raise BadInputError(
            "there is no audit to merge; name at least one directory that memberscan audit wrote"
        )
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for name, audit in audits.items():
        federation = check(audit)["federation"]
        key = (federation["transcript"], federation["attacker"]) if federation else ("", name)
        groups.setdefault(key, {})[name] = audit
    labels = _labels(list(groups.values()))
    entries = [_entry(group, *label) for group, label in zip(groups.values(), labels, strict=True)]
    return {
        "schema": CONSORTIUM_SCHEMA,
        "memberscan": version("memberscan"),
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
    parts = _once(_own_people(group))
    held = [part["federation"] for part in parts.values() if part["federation"]]
    kept = ("environment", "attacker", "secure", "visible_to_server", "transcript", "rounds")
    return {
        "name": name,
        "federation": federation,
        "model": first["target"]["model"],
        **{key: facts[key] for key in kept},
        "audits": list(group),
        "learners": _known_first([f["learners"] for f in held], "age_mean"),
        "findings": _findings(parts),
        "not_run": [{"audit": site, **row} for site, part in parts.items() for row in part["not_run"]],
        "pairs": _pairs(parts),
        "victims": _known_first([f["victims"] for f in held], "auc"),
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


def _once(group: Audits) -> Audits:
    """Return the audits of a group without those that repeat another, and refuse those that overlap."""
    kept: dict[str, dict[str, Any]] = {}
    for name, audit in group.items():
        same = ("findings", "federation")
        if not any(all(audit[key] == other[key] for key in same) for other in kept.values()):
            kept[name] = audit
    victims = {
        name: {p["victim"] for p in parties.judged(audit["federation"]["pairs"])}
        for name, audit in kept.items()
        if audit["federation"]
    }
    for one, other in combinations(victims, 2):
        both = sorted(victims[one] & victims[other], key=words.natural)
        if both:
            raise MisalignedError(
                f"the audits {one} and {other} are of the same transcript and attacker, and both judge "
                f"people of {words.listed(both)}, with results that differ: give one of the two, or let each "
                "site audit its own people only"
            )
    return kept


def _own_people(group: Audits) -> Audits:
    """Name the victims that sites call "all", as who sees sums does: at a site these are its own people."""
    if len(group) == 1:
        return group
    named = {}
    for name, audit in group.items():
        federation = audit["federation"]
        if federation and len(federation["learners"]) == 1:
            own = federation["learners"][0]["name"]
            federation = federation | {
                "pairs": [
                    p | {"victim": own} if p["victim"] == parties.ALL else p for p in federation["pairs"]
                ],
                "victims": [
                    v | {"name": own} if v["name"] == parties.ALL else v for v in federation["victims"]
                ],
            }
        named[name] = audit | {"federation": federation}
    return named


def _known_first(parts: list[list[dict[str, Any]]], value: str) -> list[dict[str, Any]]:
    """Return one row per name, from the site that knows ``value`` if any does."""
    together = sorted((row for part in parts for row in part), key=lambda row: row[value] is None)
    return joining.rows([together], lambda row: words.natural(row["name"]), ())


def _pairs(parts: Audits) -> list[dict[str, Any]]:
    """Return all pairs; one that a site could not judge gives way to the same pair of the site that could."""
    together = [pair for part in parts.values() if part["federation"] for pair in part["federation"]["pairs"]]
    pairs = joining.rows(
        [sorted(together, key=lambda pair: pair["auc"] is None)],
        lambda p: (p["attack"], words.natural(p["attacker"]), words.natural(p["victim"])),
        (),
    )
    return joining.correct(pairs) if len(parts) > 1 else pairs


def _findings(parts: Audits) -> list[dict[str, Any]]:
    """Return one finding an attack, the strongest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for audit in parts.values():
        for finding in audit["findings"]:
            judged = {"auc": words.judged_auc(audit, finding), "accuracy": finding["accuracy"]}
            found.setdefault(finding["attack"], []).append(judged)
    rows = [
        {
            "attack": attack,
            "sites": len(values),
            **{key: joining.mean_over_sites([v[key] for v in values]) for key in ("auc", "accuracy")},
        }
        for attack, values in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["auc"]["low"], row["attack"]))


def _sources(parts: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not parts:
        return None
    blind = [part["blind"] for part in parts if part["blind"]]
    return {
        **parts[0],
        "accuracy": joining.mean_over_sites([part["accuracy"] for part in parts]),
        "blind": joining.mean_over_sites(blind) if len(blind) == len(parts) else None,
    }


def _secure(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what to compare: one model and environment, seen in the clear and under secure aggregation."""
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        if entry["federation"]:
            grouped.setdefault((entry["model"], entry["environment"] or ""), []).append(entry)
    comparisons = []
    for (model, environment), group in grouped.items():
        hidden = [e for e in group if e["secure"] == "ckks" or e["attacker"] == "aggregate"]
        plain = [e for e in group if e["attacker"] in ("server", "active-server") and e["visible_to_server"]]
        if hidden and plain:
            names = [e["name"] for e in (*plain, *hidden)]
            comparisons.append({"model": model, "environment": environment or None, "entries": names})
    return comparisons


def _sites(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each learner of each federation, the strongest pair of each attacker against it."""
    federations: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if entry["federation"]:
            federations.setdefault(entry["federation"], []).append(entry)
    sites = []
    for federation, views in federations.items():
        learners = _known_first([view["learners"] for view in views], "age_mean")
        for learner in learners:
            against = [_against(view, learner["name"]) for view in views if view["pairs"]]
            sites.append(
                {
                    "name": learner["name"],
                    "federation": federation,
                    "members": learner["members"],
                    "against": against,
                }
            )
    return sites


def _against(entry: dict[str, Any], site: str) -> dict[str, Any]:
    """Return what one attacker can do to one site; people of a sum may be anybody's."""
    mine = [pair for pair in entry["pairs"] if pair["victim"] in (site, parties.ALL)]
    judged = parties.judged(mine)
    return {
        "entry": entry["name"],
        "pair": parties.strongest(mine),
        "pairs": len(judged),
        "shown": sum(map(parties.shown, judged)),
        "victim": next((v for v in entry["victims"] if v["name"] in (site, parties.ALL)), None),
    }
