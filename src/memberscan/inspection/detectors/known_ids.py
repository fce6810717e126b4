"""Ids that look like those of people in BIDS datasets and in known cohorts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.id_patterns import ids_in
from memberscan.inspection.detectors.texts import texts_of
from memberscan.inspection.nodes import Node
from memberscan.report import words

FEWEST = 3
"""Fewer ids than this may be an example in a text; a person must look."""
_FEWEST_IN_PROGRAMS = 10
"""Programs and their documentation name ids as examples."""


class KnownIds(Detector):
    """Finds ids by their form."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._ids: dict[str, set[str]] = {}
        self._places: dict[str, Counter[str]] = {}

    def see(self, node: Node) -> None:
        """Search the texts of a node."""
        for place, text in texts_of(node):
            for cohort, found in ids_in(text):
                self._ids.setdefault(cohort, set()).add(found)
                self._places.setdefault(cohort, Counter())[place] += 1

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield one finding for each cohort whose ids were found."""
        for cohort, ids in self._ids.items():
            if self.file.program and len(ids) < _FEWEST_IN_PROGRAMS:
                continue
            self.file.ids |= ids
            certain = len(ids) >= FEWEST and not self.file.program
            place = self._places[cohort].most_common(1)[0][0]
            yield self.file.finding(
                "ids of people",
                "leaks" if certain else "look",
                place,
                f"It names {words.people(len(ids), 'person', 'people')} by ids in the form of {cohort}.",
                "Remove the ids; a model does not need them to predict.",
                people=len(ids),
            )
