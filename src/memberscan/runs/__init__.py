"""What was trained on whom, as plain data on disk."""

from memberscan.runs.roles import Role, Roles
from memberscan.runs.run import Run

__all__ = ["Role", "Roles", "Run"]
