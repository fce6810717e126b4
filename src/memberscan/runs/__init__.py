"""Runs: which model was trained on which subjects, as plain data on disk."""

from memberscan.runs.roles import Role, Roles
from memberscan.runs.run import Run
from memberscan.runs.transcript import Transcript

__all__ = ["Role", "Roles", "Run", "Transcript"]
