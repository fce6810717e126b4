"""The report: what audits found, for people; a function of the content of audit.json alone."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from memberscan.report.content.audit_json import SCHEMA, AuditContent
from memberscan.report.content.consortium_json import CONSORTIUM_SCHEMA, ConsortiumContent
from memberscan.report.validation import check, check_consortium

if TYPE_CHECKING:
    from memberscan.report.consortium_of_audits import consortium
    from memberscan.report.pages import render_consortium, render_html
    from memberscan.report.terminal import terminal_table

# What draws is imported when it is first used, so that reading a result does not load matplotlib and scipy.
_HOME = {
    "consortium": "consortium_of_audits",
    "render_consortium": "pages",
    "render_html": "pages",
    "terminal_table": "terminal",
}

__all__ = [
    "CONSORTIUM_SCHEMA",
    "SCHEMA",
    "AuditContent",
    "ConsortiumContent",
    "check",
    "check_consortium",
    "consortium",
    "render_consortium",
    "render_html",
    "terminal_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"memberscan.report.{_HOME[name]}"), name)
