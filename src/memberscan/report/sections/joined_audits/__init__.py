"""The audits that were joined, each with its own verdict, and all their attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.report import words
from memberscan.report.content.consortium_json import ConsortiumContent, Entry, JoinedAudit
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table, estimate


@dataclass(frozen=True)
class JoinedAudits:
    """What the section shows; ``sentences`` are the verdicts in words, by audit."""

    audits: Table
    headings: Table | None
    sentences: list[tuple[str, str]]
    findings: Table
    not_run: Table


def data(content: ConsortiumContent) -> JoinedAudits:
    """Return what the section shows."""
    return JoinedAudits(
        audits=audit_table(content.audits),
        headings=heading_table(content.audits),
        sentences=[(audit.name, audit.sentence) for audit in content.audits],
        findings=finding_table(content.entries),
        not_run=not_run_table(content.entries),
    )


def audit_table(audits: Sequence[JoinedAudit]) -> Table:
    """Return the audits that were merged."""
    cells = [
        [
            Cell(row.name, row.entry),
            Cell(words.LABELS[row.verdict]),
            Cell(words.detectable(row.smallest_detectable_auc)),
            Cell(f"{row.members:,}\u00a0+\u00a0{row.nonmembers:,}"),
        ]
        for row in audits
    ]
    caption = (
        "The audits, each with its own verdict. Smallest AUC: the smallest that it would have detected with "
        "80% power. People: members + non-members."
    )
    return Table(caption, ("Audit", "Verdict", "Smallest AUC", "People"), cells)


def heading_table(audits: Sequence[JoinedAudit]) -> Table | None:
    """Return the names, notes and dates of audits; None if no auditor gave a name or a note."""
    cells = [
        [Cell(row.name, row.date or ""), Cell(row.title or "none"), Cell(row.note or "none")]
        for row in audits
        if row.title or row.note
    ]
    if not cells:
        return None
    return Table(
        "Names and notes that the auditors gave, with the day (UTC) on which the audit was first started.",
        ("Audit", "Name", "Note"),
        cells,
    )


def finding_table(entries: Sequence[Entry]) -> Table:
    """Return every attack of every entry."""
    cells = [
        [
            Cell(finding.attack),
            Cell(entry.name),
            estimate(finding.auc),
            estimate(finding.accuracy, words.percent),
            Cell(f"{finding.sites}"),
        ]
        for entry in entries
        for finding in entry.findings
    ]
    caption = (
        "Every attack, pooled over pairs, with 95% intervals; where several audits were joined, their mean."
    )
    return Table(caption, ("Attack", "Who attacks what", "AUC", "Accuracy", "Audits"), cells)


def not_run_table(entries: Sequence[Entry]) -> Table:
    """Return the attacks that were not run, by audit."""
    cells = [
        [Cell(row.attack), Cell(row.audit), Cell(row.reason)] for entry in entries for row in entry.not_run
    ]
    return Table(
        "Nothing is known about what these attacks would have shown.", ("Attack", "Audit", "Reason"), cells
    )


SECTION = Section(__name__, "audits", "The audits", data)
