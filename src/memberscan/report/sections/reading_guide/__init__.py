"""How to read the page: its terms, and the four verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import ranking
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.parts import Label
from memberscan.report.page_section import Section


@dataclass(frozen=True)
class ReadingGuide:
    """This audit's verdict, and whether p-values decided it."""

    label: Label
    by_p_values: bool


def data(audit: AuditContent) -> ReadingGuide:
    """Return what the guide depends on."""
    return ReadingGuide(audit.verdict.label, ranking.basis(audit).rule == "permutation")


SECTION = Section(__name__, "reading", "How to read this", data)
