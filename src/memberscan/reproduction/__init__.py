"""The experiments of a paper on another cohort, and what they say of the paper's claims."""

from memberscan.reproduction.content import ReproductionContent
from memberscan.reproduction.making import reproduce

__all__ = ["ReproductionContent", "reproduce"]
