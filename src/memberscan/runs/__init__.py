"""What was trained on whom, as plain data on disk."""

from memberscan.runs.roles import Role, Roles
from memberscan.runs.run import Run
from memberscan.runs.transcript import Transcript

__all__ = ["Role", "Roles", "Run", "Transcript"]
