"""The report: what an audit found, for people; a function of the content of audit.json alone."""

from memberscan.report.html import render_html
from memberscan.report.schema import SCHEMA, check
from memberscan.report.terminal import terminal_table

__all__ = ["SCHEMA", "check", "render_html", "terminal_table"]
