"""The threat model: who attacks, what it sees of a model, and what it knows of people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum
from typing import Any

from memberscan.errors import BadInputError


class Access(IntEnum):
    """How much of the target an attacker sees; a greater access includes the lesser ones.

    ``ROUNDS`` is the global model of every round of a federation, ``UPDATES`` every learner's own model too.
    """

    OUTPUTS = 1
    WEIGHTS = 2
    ROUNDS = 3
    UPDATES = 4

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str, attacker: Attacker | None = None) -> Access:
        """Return the access of that name.

        Raises
        ------
        BadInputError
            If there is none. The message names those that this attacker can have: an outsider, if None.
        """
        try:
            return cls[text.upper()]
        except KeyError:
            its = None if attacker is None else attacker.access
            help_ = (
                f"choose one of: {cls.OUTPUTS}, {cls.WEIGHTS}"
                if its is None
                else f"leave it out, since the attacker {attacker} always sees {its}"
            )
            raise BadInputError(f"access {text!r} is unknown; {help_}") from None


class Attacker(StrEnum):
    """Who attacks: somebody outside, or a party of a federation.

    ``LEARNER`` sees each round's global model and knows its own people; ``SERVER`` sees every learner's
    model; ``ACTIVE_SERVER`` also changes what it broadcasts; ``AGGREGATE`` sees sums over learners only, as a
    server does under secure aggregation.
    """

    OUTSIDER = "outsider"
    LEARNER = "learner"
    SERVER = "server"
    ACTIVE_SERVER = "active-server"
    AGGREGATE = "aggregate"

    @property
    def access(self) -> Access | None:
        """What this party of a federation sees; None for an outsider, of whom it must be said."""
        return {
            Attacker.OUTSIDER: None,
            Attacker.LEARNER: Access.ROUNDS,
            Attacker.AGGREGATE: Access.ROUNDS,
            Attacker.SERVER: Access.UPDATES,
            Attacker.ACTIVE_SERVER: Access.UPDATES,
        }[self]

    @classmethod
    def parse(cls, text: str) -> Attacker:
        """Return the attacker of that name."""
        try:
            return cls(text.lower())
        except ValueError:
            raise BadInputError(f"attacker {text!r} is unknown; choose one of: {', '.join(cls)}") from None


@dataclass(frozen=True)
class ThreatModel:
    """What the attacker is assumed to have.

    Parameters
    ----------
    access
        What it sees of the target; a party of a federation sees what its place gives it.
    leaked
        Share of the smaller side (members or non-members) whose membership it already knows, in [0, 0.9]. In
        a federation: share of the held-out subjects that it knows to be non-members.
    repeats
        How many times the known subjects are drawn anew, for attacks that learn from them. In a federation
        they are drawn once.
    attacker
        Who it is.
    rounds
        How many rounds of a federation it looks at, evenly spaced, the last among them; None for all.
    """

    access: Access = Access.OUTPUTS
    leaked: float = 0.5
    repeats: int = 5
    attacker: Attacker = Attacker.OUTSIDER
    rounds: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.leaked <= 0.9:
            raise BadInputError(f"leaked is {self.leaked}; it is a share from 0 to 0.9")
        if self.repeats < 1:
            raise BadInputError(f"repeats is {self.repeats}; at least 1 draw is needed")
        if self.rounds is not None and self.rounds < 1:
            raise BadInputError(f"rounds is {self.rounds}; at least 1 is needed")
        if self.attacker.access is None:
            if self.access > Access.WEIGHTS:
                raise BadInputError(
                    f"an outsider has no access to {self.access}; choose an attacker within the federation "
                    "(--attacker learner or server)"
                )
        else:
            object.__setattr__(self, "access", self.attacker.access)
            object.__setattr__(self, "repeats", 1)

    def known_per_side(self, members: int, nonmembers: int) -> int:
        """Return how many subjects a side the attacker knows: floor(leaked x min(members, nonmembers))."""
        return int(self.leaked * min(members, nonmembers) + 1e-9)

    def looks_at(self, rounds: int) -> tuple[int, ...]:
        """Return which of the rounds 1, 2, ... it looks at; chosen by their number alone."""
        count = min(self.rounds or rounds, rounds)
        return tuple(sorted({rounds - k * rounds // count for k in range(count)}))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"access": str(self.access), "attacker": str(self.attacker)}
