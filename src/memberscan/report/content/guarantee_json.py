"""What audit.json and frontier.json say of the guarantee that a training states."""

from __future__ import annotations

from memberscan.report.content.parts import Fraction, Part, Size, Text


class Guarantee(Part):
    """What the defence of the training guarantees."""

    statement: Text
    """The guarantee in words; in a federation, that of the learner with the largest epsilon."""
    enforced_by: Text
    """Who applied the defence, and must be trusted for the statement to hold."""
    epsilon: Size | None
    """Of differential privacy for each person who is added or removed; null for another kind of guarantee."""
    delta: Fraction | None
    """The same."""
