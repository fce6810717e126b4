"""What a signal is: a named key with dimensions, and a provider that says who can see it and computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.targets.target import Target

SCAN, ROUND, LEARNER, LAYER, REFERENCE = "scan", "round", "learner", "layer", "reference"
"""Dimensions whose entries have names; others, such as the parameters of a layer, are only numbered."""
COPY = "copy"
"""The dimension of changed copies of a scan."""


BehindService = Literal["hidden", "changed", "unchanged"]
"""What an outsider sees of a signal where a service changes the model's answers."""


@dataclass(frozen=True)
class Signal:
    """The key of something that an attacker sees; attacks request signals by it.

    Parameters
    ----------
    kind
        Which provider gives it.
    dimensions
        What the axes of its array are, in their order. Where ``scan`` is among them there is a row for each
        scan.
    part
        Which signal of the kind, if there are several: the layer of a gradient.
    """

    kind: str
    dimensions: tuple[str, ...]
    part: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.part}" if self.part else self.kind


@dataclass(frozen=True)
class Provider(ABC):
    """One kind of signal, or several from one computation: who can see it, and how it is computed.

    Parameters
    ----------
    kinds
        The kinds of signals that it gives.
    access
        The access to the target that an attacker needs.
    attackers
        The attackers that may see it.
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
        """Return why an attacker does not see the signal, to follow the name of an attack."""

    def behind_service(self, signal: Signal) -> BehindService:  # noqa: ARG002
        """Return what an outsider sees of a signal where a service changes the model's answers.

        Returns
        -------
        BehindService
            "hidden" for all that the model says besides its predictions; "changed" for predictions of scans
            or of copies, by the model or by references; "unchanged" for what does not come from a model.
        """
        return "hidden"

    def absent(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """Return why the target has no such signals for any attacker, or None."""
        return None

    def adds(self, signals: Sequence[Signal], target: Target) -> bool:  # noqa: ARG002
        """Tell whether the signals can say more of this target than others do.

        Attacks on signals that cannot are not tried unasked.
        """
        return True

    def not_taken(self, signals: Sequence[Signal], target: Target) -> str | None:  # noqa: ARG002
        """Return why the signals cannot be computed for this target, or None.

        The check may run the model, so it comes last.
        """
        return None

    def fingerprint(self, target: Target) -> str | None:  # noqa: ARG002
        """Return a digest of inputs other than the target, such as a user's file; or None.

        It is part of the request of an audit, so that a result for another file is never reused.
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
