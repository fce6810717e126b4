"""The report: what audits found, for people; a function of the content of audit.json alone."""

from memberscan.report.consortium import consortium
from memberscan.report.html import render_consortium, render_html
from memberscan.report.schema import CONSORTIUM_SCHEMA, SCHEMA, check, check_consortium
from memberscan.report.terminal import terminal_table

__all__ = [
    "CONSORTIUM_SCHEMA",
    "SCHEMA",
    "check",
    "check_consortium",
    "consortium",
    "render_consortium",
    "render_html",
    "terminal_table",
]
