"""The threat model: what an attacker sees of a model, knows of people, and can train."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from memberscan.errors import BadInputError


class Access(IntEnum):
    """How much of the target an attacker sees; a greater access includes the lesser ones."""

    OUTPUTS = 1
    WEIGHTS = 2

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Access:
        """Return the access of that name."""
        try:
            return cls[text.upper()]
        except KeyError:
            names = ", ".join(str(a) for a in cls)
            raise BadInputError(f"access {text!r} is unknown; choose one of: {names}") from None


@dataclass(frozen=True)
class ThreatModel:
    """What the attacker is assumed to have.

    Parameters
    ----------
    access
        What it sees of the target.
    leaked
        Share of the smaller side (members or non-members) whose membership it already knows, in [0, 0.9].
    repeats
        How many times the known subjects are drawn anew, for attacks that learn from them.
    """

    access: Access = Access.OUTPUTS
    leaked: float = 0.5
    repeats: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.leaked <= 0.9:
            raise BadInputError(f"leaked is {self.leaked}; it is a share from 0 to 0.9")
        if self.repeats < 1:
            raise BadInputError(f"repeats is {self.repeats}; at least 1 draw is needed")

    def known_per_side(self, members: int, nonmembers: int) -> int:
        """Return how many subjects a side the attacker knows: floor(leaked x min(members, nonmembers))."""
        return int(self.leaked * min(members, nonmembers) + 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"access": str(self.access)}
