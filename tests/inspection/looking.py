"""Let the detectors look at a value, as if a reader had found it in a file."""

from __future__ import annotations

from pathlib import Path

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors import DETECTORS, FileContext
from memberscan.inspection.nodes import nodes
from memberscan.inspection.sources import Budget


def look(
    value: object, *, index: CohortIndex | None = None, name: str = "model.bin", program: bool = False
) -> list[InspectionFinding]:
    file = FileContext(name, program, index)
    detectors = [kind(file) for kind in DETECTORS]
    for node in nodes("", value, Budget(Path("/nowhere"))):
        for detector in detectors:
            detector.see(node)
    return [finding for detector in detectors for finding in detector.findings()]


def kinds(value: object, **options: object) -> set[tuple[str, str]]:
    return {(each.kind, each.grade) for each in look(value, **options)}  # type: ignore[arg-type]
