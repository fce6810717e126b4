"""Training data that a model stores by its nature: neighbours, support vectors, the points of a process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

import numpy as np

from memberscan.inspection import column_names
from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.stored_rows import STORED_ROWS, StoredRows
from memberscan.inspection.detectors.stored_rows_elsewhere import STORED_ROWS_ELSEWHERE
from memberscan.inspection.nodes import FEWEST_ROWS, Node
from memberscan.inspection.values import Columns, Instance
from memberscan.report import words

_SPARSE = re.compile(r"^scipy\.sparse\.|(^| )dg[CRT]Matrix( |$)")
"""Sparse matrices of scipy and R."""


class TrainingRows(Detector):
    """Finds attributes in which known kinds of models store what they were trained on."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._found: dict[tuple[str, str], _Stored] = {}

    def see(self, node: Node) -> None:
        """Look at an attribute of an object, or at what is named as training data."""
        if (rows := _rows(node.value)) is None:
            return
        stored = _known(node) or (None if self.file.program else _by_name(node))
        if stored is None:
            return
        model = "The file" if node.owner is None else _short(node.owner.class_name)
        kept = self._found.setdefault((model, stored.attribute), _Stored(node.place, stored))
        kept.rows = max(kept.rows, rows)
        kept.objects.add(id(node.owner))

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
        of = f" ({len(kept.objects):,} of them)" if len(kept.objects) > 1 else ""
        return self.file.finding(
            "training rows",
            "look",
            kept.place,
            f"{model}{of} keeps {kept.stored.what}.",
            "Remove it if the model predicts without it; otherwise know that it is there.",
        )


def _rows(value: object) -> int | None:
    """Return how many rows a value has; None if it is no table, array or sparse matrix."""
    if isinstance(value, Columns):
        return value.rows
    if isinstance(value, np.ndarray):
        return len(np.atleast_1d(value))
    if isinstance(value, Instance) and _SPARSE.search(value.class_name):
        shape = value.state.get("_shape", value.state.get("shape"))
        return int(shape[0]) if isinstance(shape, (tuple, list)) and shape and type(shape[0]) is int else 1
    return None


def _known(node: Node) -> StoredRows | None:
    """Return what an attribute holds if the class of its object is known to hold rows in it."""
    if node.owner is None:
        return None
    for stored in (*STORED_ROWS, *STORED_ROWS_ELSEWHERE):
        if stored.attribute in (node.name, node.attribute) and stored.matches(node.owner.class_name):
            return stored
    return None


def _by_name(node: Node) -> StoredRows | None:
    """Return what an array or a table of numbers holds by its own name or by that of the class."""
    if not _is_numeric(node.value):
        return None
    axes = node.value.ndim if isinstance(node.value, np.ndarray) else 2
    rows = node.value.rows if isinstance(node.value, Columns) else len(np.atleast_1d(node.value))
    plain = column_names.normalised(node.name)
    if rows < FEWEST_ROWS:
        return None
    if axes >= 2 and column_names.TRAINING_ROWS.match(plain):
        return StoredRows("", node.name, f"what its name says are training rows ({node.name})", "rows")
    if column_names.TRAINING_LABELS.match(plain):
        return StoredRows(
            "", node.name, f"what its name says are labels of training rows ({node.name})", "labels"
        )
    if axes >= 2 and node.owner is not None and column_names.DATASET.search(_short(node.owner.class_name)):
        return StoredRows(
            "", node.attribute, f"data ({rows:,} rows), perhaps those of the training", "derived"
        )
    return None


def _is_numeric(value: object) -> TypeGuard[np.ndarray | Columns]:
    """Return whether a value is an array of numbers, or a table of at least two columns of numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf"
    if not isinstance(value, Columns):
        return False
    columns = (column for column in value.columns.values() if isinstance(column, np.ndarray))
    return sum(column.dtype.kind in "iuf" for column in columns) >= 2


def _short(class_name: str) -> str:
    """Return the last part of a class's name; of several of an R object, the first that has only one part."""
    single = [name for name in class_name.split() if "." not in name]
    return single[0] if single else class_name.rpartition(".")[2]


@dataclass
class _Stored:
    """An attribute that was found, in how many objects, and how many rows it has at most."""

    place: str
    stored: StoredRows
    rows: int = 0
    objects: set[int] = field(default_factory=set)
