"""How to read a consortium's page."""

from __future__ import annotations

from memberscan.report.content.consortium_json import ConsortiumContent
from memberscan.report.page_section import Section


def data(content: ConsortiumContent) -> ConsortiumContent:
    """Return the content: the guide is the same for all."""
    return content


SECTION = Section(__name__, "reading", "How to read this", data)
