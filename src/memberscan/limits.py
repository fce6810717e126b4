"""The smallest numbers of people that memberscan accepts, in one place."""

from __future__ import annotations

FEWEST_PER_SIDE = 10
"""Fewest members, and fewest non-members, that an audit accepts."""
MOST_CLASSES = 20
"""Most classes that a model tells apart."""
