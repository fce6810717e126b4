"""The audit as a whole: what is audited, its stages composed, and its result."""

from memberscan.auditing.result import AuditResult
from memberscan.auditing.stages import audit

__all__ = ["AuditResult", "audit"]
