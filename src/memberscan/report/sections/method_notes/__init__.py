"""How the audit was made, and what is needed to obtain the same result again."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import ranking, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table


@dataclass(frozen=True)
class MethodNotes:
    """What the section shows; ``known`` is None where no people were drawn for attacks to learn from."""

    known: str | None
    chosen: str
    detectable: str
    provenance: Table


def data(audit: AuditContent) -> MethodNotes:
    """Return what the section shows."""
    detectable = words.detectable(audit.verdict.smallest_detectable_auc)
    return MethodNotes(_known(audit), chosen(audit), detectable, provenance_table(audit))


def _known(audit: AuditContent) -> str | None:
    members, nonmembers = audit.threat.known
    if ranking.of_a_party(audit) or not members or not nonmembers:
        return None
    known = f"{words.count(members)} known on each side"
    if members != nonmembers:
        known = f"{words.count(members)} known members and {words.count(nonmembers)} known non-members"
    return f"{known}, drawn {words.people(audit.threat.repeats, 'time')}"


def chosen(audit: AuditContent) -> str:
    """Return who chose the members, since chance imbalance is not confounding."""
    if audit.target.randomised:
        return "The members were drawn at random by memberscan."
    if audit.federation is not None and audit.federation.held_out_randomised:
        return (
            "The people held out were drawn at random by memberscan, and all others are members; people "
            "were not assigned to learners at random."
        )
    return "The members were chosen by the people who trained the model."


def provenance_table(audit: AuditContent) -> Table:
    """Return what is needed to obtain the same result again."""
    origin = audit.provenance
    entries = {
        "Source": origin.source,
        "memberscan": origin.memberscan,
        "Seed": str(origin.seed),
        "Threads": "not recorded" if origin.threads is None else str(origin.threads),
        "Fingerprint of the cohort": origin.cohort or "none",
        "Fingerprint of the roles": origin.roles or "none",
        "Fingerprint of the weights": origin.weights or "none",
        "Fingerprint of the predictions": origin.predictions or "none",
        "Libraries": ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items())),
        "Schema": audit.schema_name,
    }
    rows = [[Cell(name), Cell(value)] for name, value in entries.items()]
    return Table("What is needed to obtain the same result again.", ("What", "Value"), rows)


SECTION = Section(__name__, "method", "Method", data)
