"""Let the detectors look at a value, as if a reader had found it in a file."""

from __future__ import annotations

from pathlib import Path

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors import DETECTORS, FileContext
from memberscan.inspection.nodes import nodes
from memberscan.inspection.sources import Budget


def look(
    *values: object,
    index: CohortIndex | None = None,
    name: str = "model.bin",
    program: bool = False,
    place: str = "",
) -> list[InspectionFinding]:
    """Return what detectors find in values that a reader yields one after the other at one place."""
    file = FileContext(name, program, index)
    detectors = [kind(file) for kind in DETECTORS]
    for value in values:
        for node in nodes(place, value, Budget(Path("/nowhere"))):
            for detector in detectors:
                detector.see(node)
    return [finding for detector in detectors for finding in detector.findings()]


def kinds(value: object, **options: object) -> set[tuple[str, str]]:
    return {(each.kind, each.grade) for each in look(value, **options)}  # type: ignore[arg-type]
