"""Error against leakage: every defence at several strengths, attacked with references trained with it."""

from memberscan.frontier.content import FrontierContent
from memberscan.frontier.making import frontier
from memberscan.frontier.of_federations import federated_frontier

__all__ = ["FrontierContent", "federated_frontier", "frontier"]
