"""The sections of the pages, in their order: a new one is a folder here, and its name in one of the lists."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.consortium_json import ConsortiumContent
from memberscan.report.page_section import Section

_OF_AN_AUDIT = (
    "summary",
    "person_exposure",
    "attack_results",
    "not_tried",
    "party_pairs",
    "round_curves",
    "federation_about",
    "false_alarms",
    "training_defence",
    "group_exposure",
    "model_errors",
    "reference_models",
    "self_checks",
    "reading_guide",
    "method_notes",
)
_OF_A_CONSORTIUM = (
    "consortium_summary",
    "joined_audits",
    "consortium_pairs",
    "consortium_rounds",
    "secure_comparison",
    "site_advice",
    "consortium_guide",
)


def _section(name: str) -> Section[Any]:
    section: Section[Any] = import_module(f"{__name__}.{name}").SECTION
    return section


AUDIT: tuple[Section[AuditContent], ...] = tuple(map(_section, _OF_AN_AUDIT))
"""Of the page of one audit; the first is above the contents of the page."""
CONSORTIUM: tuple[Section[ConsortiumContent], ...] = tuple(map(_section, _OF_A_CONSORTIUM))
"""Of the page of a consortium; the first is above the contents of the page."""
