"""What the files of a release say about people, found without executing anything in them."""

from memberscan.inspection.content import InspectionContent
from memberscan.inspection.making import Inspected, inspect

__all__ = ["Inspected", "InspectionContent", "inspect"]
