"""Training data that a model stores by its nature: neighbours, support vectors, the points of a process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.stored_rows import STORED_ROWS, StoredRows
from memberscan.inspection.nodes import Node
from memberscan.inspection.values import Columns
from memberscan.report import words


class TrainingRows(Detector):
    """Finds attributes in which known kinds of models store what they were trained on."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._found: dict[tuple[str, str], _Stored] = {}

    def see(self, node: Node) -> None:
        """Look at an attribute of an object."""
        if node.owner is None or not isinstance(node.value, (np.ndarray, Columns)):
            return
        rows = node.value.rows if isinstance(node.value, Columns) else len(np.atleast_1d(node.value))
        for stored in STORED_ROWS:
            if stored.attribute == node.name and stored.matches(node.owner.class_name):
                model = node.owner.class_name.rpartition(".")[2]
                kept = self._found.setdefault((model, node.name), _Stored(node.place, stored))
                kept.rows, kept.objects = max(kept.rows, rows), kept.objects + 1
                return

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield one finding for each attribute, however many objects have it, as the trees of a forest do."""
        for (model, _), kept in self._found.items():
            if kept.stored.held == "derived":
                yield self._derived(model, kept)
            else:
                yield self.file.finding(
                    "training rows",
                    "leaks",
                    kept.place,
                    f"{model} keeps {kept.stored.what}: {words.people(kept.rows, 'row')}.",
                    "Such a model cannot be given away without its training data: train a linear model, a "
                    "forest or a network instead, or let others send their scans to a service.",
                    people=kept.rows,
                )

    def _derived(self, model: str, kept: _Stored) -> InspectionFinding:
        of = f" ({kept.objects:,} of them)" if kept.objects > 1 else ""
        return self.file.finding(
            "training rows",
            "look",
            kept.place,
            f"{model}{of} keeps {kept.stored.what}.",
            "Remove it if the model predicts without it; otherwise know that it is there.",
        )


@dataclass
class _Stored:
    """An attribute that was found, in how many objects, and how many rows it has at most."""

    place: str
    stored: StoredRows
    rows: int = 0
    objects: int = 0
