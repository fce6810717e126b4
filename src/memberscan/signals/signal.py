"""What a signal is: a named key with dimensions, and a provider that says who can see it and computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

SCAN, ROUND, LEARNER, LAYER = "scan", "round", "learner", "layer"
"""Dimensions whose places have names; others, such as the parameters of a layer, are only counted."""


@dataclass(frozen=True)
class Signal:
    """The name of something that an attacker sees, by which attacks ask for it.

    Parameters
    ----------
    kind
        Which provider gives it.
    dimensions
        What the axes of its array are, in their order. Where ``scan`` is among them there is a row for each
        scan.
    part
        Of a kind of which there are several, which one: the layer of a gradient.
    """

    kind: str
    dimensions: tuple[str, ...]
    part: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.part}" if self.part else self.kind


@dataclass(frozen=True)
class Provider(ABC):
    """One kind of signal, or several that one computation gives: who can see it, and how it is computed.

    Parameters
    ----------
    kinds
        The kinds of signals that it gives.
    access
        What an attacker must see of the target.
    attackers
        Whose place in the world shows it.
    """

    kinds: tuple[str, ...]
    access: Access
    attackers: frozenset[Attacker]

    def seen_by(self, threat: ThreatModel) -> bool:
        """Tell whether this attacker sees the signal, where the target has it."""
        return threat.attacker in self.attackers and self.access in threat.sees

    def needed_access(self, threat: ThreatModel) -> Access:  # noqa: ARG002
        """Return what a report says that this attacker needs to see."""
        return self.access

    @abstractmethod
    def out_of_sight(self, threat: ThreatModel) -> str:
        """Return why an attacker who does not see the signal does not, to follow the name of an attack."""

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """Return why the target has no such signals, whoever looks at it, or None."""
        return None

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """Return why the signals cannot be taken of this target, or None.

        The answer may need a run of the model, so it is asked last.
        """
        return None

    def fingerprint(self, target: Target) -> str | None:  # noqa: ARG002
        """Return a digest of what the signals are made of beside the target, such as a user's file; or None.

        It is part of the request of an audit, so that another file is never answered with an earlier result.
        """
        return None

    @abstractmethod
    def observe(self, signals: Sequence[Signal], target: Target, directory: Path) -> Observed:
        """Compute the signals of all scans of the target; wide ones are kept in ``directory``."""


@dataclass(frozen=True, eq=False)
class Observed:
    """What a provider computed: values by signal, and names of learners and rounds if there are any."""

    values: Mapping[Signal, Any]
    learners: tuple[str, ...] = ()
    rounds: tuple[int, ...] = ()
