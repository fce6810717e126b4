"""Error against leakage: every defence at several strengths, attacked with references trained with it."""

from memberscan.frontier.content import FrontierContent
from memberscan.frontier.making import frontier

__all__ = ["FrontierContent", "frontier"]
