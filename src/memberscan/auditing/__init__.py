"""The audit as a whole: what is audited, its stages composed, and its result."""

from memberscan.auditing.conduct import audit
from memberscan.auditing.result import AuditResult

__all__ = ["AuditResult", "audit"]
