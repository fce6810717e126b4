"""What a detector is: it looks at everything in one file and says what of it is about people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memberscan.inspection.content import Grade, InspectionFinding, Kind, Proof
from memberscan.inspection.nodes import Node

if TYPE_CHECKING:
    from memberscan.inspection.cohort_index import CohortIndex


@dataclass
class FileContext:
    """The file that detectors look at, and what they share about it."""

    name: str
    """Its path within the release."""
    program: bool = False
    """Whether it is a program or its documentation, in which ids of people stand as examples."""
    index: CohortIndex | None = None
    """The cohort to compare with, or None."""
    ids: set[str] = field(default_factory=set)
    """Ids that were found; they are counted, and leave the inspection only if the user asks for them."""

    def finding(
        self,
        kind: Kind,
        grade: Grade,
        place: str,
        what: str,
        mend: str,
        *,
        people: int | None = None,
        proof: Proof | None = None,
    ) -> InspectionFinding:
        """Return a finding in this file."""
        given = {} if proof is None else {"proof": proof}
        return InspectionFinding(
            kind=kind, grade=grade, file=self.name, place=place, people=people, what=what, mend=mend, **given
        )


class Detector(ABC):
    """Looks for one kind of thing in one file; a new one is made for every file."""

    def __init__(self, file: FileContext) -> None:
        self.file = file

    @abstractmethod
    def see(self, node: Node) -> None:
        """Look at one node."""

    @abstractmethod
    def findings(self) -> Iterator[InspectionFinding]:
        """Yield what was found, after the last node."""
