"""What the guarantee of a training allows an attack, for the sections that show it."""

from __future__ import annotations

from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.guarantee_json import Guarantee


def private(audit: AuditContent) -> Guarantee | None:
    """Return the guarantee if it is one of differential privacy for people; else None."""
    found = audit.target.guarantee
    return None if found is None or found.epsilon is None or found.delta is None else found
