"""The threat model: who attacks, what the attacker sees of a model, and what it knows about people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from memberscan.errors import BadInputError


class Access(StrEnum):
    """One kind of information that an attacker may see of the target.

    ``ROUNDS`` is the global model of every round of a federation, ``UPDATES`` every learner's own model. The
    kinds are ordered from the most to the least widely available; a report names the last one that is needed.
    """

    OUTPUTS = "outputs"
    WEIGHTS = "weights"
    ROUNDS = "rounds"
    UPDATES = "updates"

    @classmethod
    def parse(cls, text: str, attacker: Attacker | None = None) -> Access:
        """Return the access of that name.

        Raises
        ------
        BadInputError
            If there is no such access. The message lists the kinds that this attacker (by default an
            outsider) can have.
        """
        try:
            return cls(text.lower())
        except ValueError:
            own = None if attacker is None else attacker.access
            hint = (
                f"choose one of: {', '.join(OF_OUTSIDERS)}"
                if own is None
                else f"leave it out, since the attacker {attacker} always sees {own}"
            )
            raise BadInputError(f"access {text!r} is unknown; {hint}") from None


OF_OUTSIDERS = (Access.OUTPUTS, Access.WEIGHTS)
"""What an outsider may see; only parties of a federation see the other kinds."""


class Attacker(StrEnum):
    """Who attacks: an outsider, or a party of a federation.

    ``LEARNER`` sees each round's global model and knows its own people; ``SERVER`` sees every learner's
    model; ``ACTIVE_SERVER`` also changes what it broadcasts; ``AGGREGATE`` sees only sums over learners, like
    a server under secure aggregation.
    """

    OUTSIDER = "outsider"
    LEARNER = "learner"
    SERVER = "server"
    ACTIVE_SERVER = "active-server"
    AGGREGATE = "aggregate"

    @property
    def access(self) -> Access | None:
        """The most that this party of a federation sees; None for an outsider, whose access must be given."""
        if self is Attacker.OUTSIDER:
            return None
        return Access.UPDATES if self in (Attacker.SERVER, Attacker.ACTIVE_SERVER) else Access.ROUNDS

    @classmethod
    def parse(cls, text: str) -> Attacker:
        """Return the attacker of that name."""
        try:
            return cls(text.lower())
        except ValueError:
            raise BadInputError(f"attacker {text!r} is unknown; choose one of: {', '.join(cls)}") from None


WITH_REFERENCES = (Attacker.OUTSIDER, Attacker.LEARNER)
"""Who attacks one model, and so can train others like it to compare with."""


@dataclass(frozen=True)
class ThreatModel:
    """What the attacker is assumed to see and know.

    Parameters
    ----------
    access
        What the attacker sees of the target; for a party of a federation, this follows from its role.
    leaked
        Share of the smaller side (members or non-members) whose membership it already knows, in [0, 0.9]. In
        a federation: share of the held-out subjects that it knows to be non-members.
    repeats
        How many times everybody is scored by attacks that learn from known subjects: each time the known
        subjects are drawn anew, as often as it takes to score everybody. In a federation they are drawn once.
    attacker
        Who attacks.
    rounds
        Number of rounds of a federation that it looks at, evenly spaced and including the last; None for all.
    references
        Number of reference models that it can train, even; None for all that the audit is given.
    """

    access: Access = Access.OUTPUTS
    leaked: float = 0.5
    repeats: int = 5
    attacker: Attacker = Attacker.OUTSIDER
    rounds: int | None = None
    references: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.leaked <= 0.9:
            raise BadInputError(f"leaked is {self.leaked}; give a share from 0 to 0.9")
        if self.repeats < 1:
            raise BadInputError(f"repeats is {self.repeats}; at least 1 draw is needed")
        if self.rounds is not None and self.rounds < 1:
            raise BadInputError(f"rounds is {self.rounds}; at least 1 is needed")
        if self.attacker.access is None:
            if self.access not in OF_OUTSIDERS:
                raise BadInputError(
                    f"an outsider has no access to {self.access}; choose an attacker within the federation "
                    "(--attacker learner or server)"
                )
        else:
            object.__setattr__(self, "access", self.attacker.access)
            object.__setattr__(self, "repeats", 1)

    @property
    def sees(self) -> frozenset[Access]:
        """Everything that the attacker sees; higher access includes all lower kinds."""
        every = tuple(Access)
        return frozenset(every[: every.index(self.access) + 1])

    def limited_to(self, shown: Access) -> ThreatModel:
        """Return this threat model with access limited to ``shown``, the most that the target shows."""
        return replace(self, access=min(self.access, shown, key=tuple(Access).index))

    def looks_at(self, rounds: int) -> tuple[int, ...]:
        """Return which of the rounds 1, 2, ... the attacker looks at; they depend only on their number."""
        count = min(self.rounds or rounds, rounds)
        return tuple(sorted({rounds - k * rounds // count for k in range(count)}))
