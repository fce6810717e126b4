"""The report: what audits found, for people; a function of the content of audit.json alone."""

from memberscan.report.consortium import consortium
from memberscan.report.content.audit_json import SCHEMA, AuditContent
from memberscan.report.content.consortium_json import CONSORTIUM_SCHEMA, ConsortiumContent
from memberscan.report.pages import render_consortium, render_html
from memberscan.report.terminal import terminal_table
from memberscan.report.validation import check, check_consortium

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
