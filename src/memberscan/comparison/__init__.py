"""Two audits compared: before and after a defence, or two candidates for release."""

from memberscan.comparison.content import COMPARISON_SCHEMA, ComparisonContent
from memberscan.comparison.making import compare

__all__ = ["COMPARISON_SCHEMA", "ComparisonContent", "compare"]
