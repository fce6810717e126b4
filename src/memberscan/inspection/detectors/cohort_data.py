"""The cohort's own ids, inputs and labels in a file: proof that its people are in there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.texts import texts_of
from memberscan.inspection.label_matching import LabelMatch, match_labels
from memberscan.inspection.nodes import Node, key_texts, text
from memberscan.inspection.row_matching import RowMatch
from memberscan.inspection.values import Columns
from memberscan.report import words

_MOST_COLUMNS = 8
"""An array with more columns than this is not searched for columns of ids and labels."""
_AGREE = 0.9
"""Share of matched rows beside which their label must stand."""
_MOST_NUMBERS = 2_000_000
"""Numbers of all columns of one file that are compared as labels."""
_STRANGERS = 3
"""After so many parts of a table without rows of the cohort, no scaling is looked for in later parts."""


class CohortData(Detector):
    """Compares everything in a file with the cohort."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._ids: set[str] = set()
        self._id_place = ""
        # Large tables come in parts, one below the other.
        self._inputs: dict[str, list[RowMatch]] = {}
        self._columns: dict[tuple[str, int], list[np.ndarray]] = {}
        self._kept = 0

    def see(self, node: Node) -> None:
        """Look for ids in texts, for inputs in arrays and tables, and for labels in columns of numbers."""
        index = self.file.index
        if index is None:
            return
        self._see_ids(node, index)
        if isinstance(node.value, np.ndarray) and node.value.dtype.kind in "iuf":
            if (match := index.rows(node.value)) is not None:
                self._inputs[node.place] = [match]
            else:
                for number, column in enumerate(_columns(node.value)):
                    self._keep(node.place, column.astype(np.float64), number)
        elif isinstance(node.value, Columns):
            self._see_table(node.place, node.value, index)

    def _see_ids(self, node: Node, index: CohortIndex) -> None:
        found = {each for _, said in texts_of(node) for each in index.search.in_text(said)}
        if isinstance(node.value, Columns):
            found |= index.search.in_column(list(node.value.columns))
            for column in node.value.columns.values():
                found |= index.search.in_column(column)
        elif isinstance(node.value, Mapping):
            found |= index.search.in_column(key_texts(node.value))
        elif isinstance(node.value, np.ndarray):
            for column in _columns(node.value):
                found |= index.search.in_column(column)
        if found and not self._ids:
            self._id_place = node.place
        self._ids |= found

    def _see_table(self, place: str, table: Columns, index: CohortIndex) -> None:
        shared = [name for name in index.features if name in table.columns]
        numbers = {name: _numbers(column) for name, column in table.columns.items()}
        if shared:
            parts = self._inputs.setdefault(place, [])
            rows = np.column_stack([numbers[name] for name in shared])
            scaled = len(parts) < _STRANGERS or any(len(part.rows) for part in parts)
            parts.append(index.rows(rows, shared, scaled=scaled) or RowMatch.none(len(rows)))
        for name, column in numbers.items():
            if name not in shared:
                self._keep(f"{place}.{name}" if place else name, column)

    def _keep(self, place: str, column: np.ndarray, number: int = 0) -> None:
        """Keep a column, to compare it with the labels once all inputs of the file are known."""
        self._kept += len(column)
        if self._kept <= _MOST_NUMBERS:
            self._columns.setdefault((place, number), []).append(column)

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield what was proven."""
        index = self.file.index
        if index is None:
            return
        if self._ids:
            self.file.ids |= self._ids
            people = {index.people[each] for each in self._ids}
            yield self.file.finding(
                "cohort's ids",
                "leaks",
                self._id_place,
                f"It names {words.people(len(people), 'person', 'people')} of those searched for.",
                "Remove the ids; a model does not need them to predict.",
                people=len(people),
                proof=index.proof(people, "ids as whole words"),
            )
        inputs = {place: RowMatch.together(parts) for place, parts in self._inputs.items()}
        inputs = {place: match for place, match in inputs.items() if len(match.rows)}
        for place, match in inputs.items():
            yield self._of_inputs(place, match, index)
        for (place, _), parts in self._columns.items():
            if (found := self._of_labels(place, np.concatenate(parts), inputs, index)) is not None:
                yield found

    def _of_inputs(self, place: str, match: RowMatch, index: CohortIndex) -> InspectionFinding:
        people = set(index.of_scan[match.scans].tolist())
        exact = (
            "number by number"
            if match.largest == 0
            else (f"after a scaling of columns, within {match.largest:.1g} standard deviations")
        )
        return self.file.finding(
            "cohort's inputs",
            "leaks",
            place,
            f"{len(match.rows):,} of {words.people(match.among, 'row')} are inputs of the cohort.",
            "Remove them; if the model needs them to predict, train another kind of model.",
            people=len(people),
            proof=index.proof(people, exact),
        )

    def _of_labels(
        self, place: str, column: np.ndarray, inputs: Mapping[str, RowMatch], index: CohortIndex
    ) -> InspectionFinding | None:
        beside = [
            match
            for other, match in inputs.items()
            if match.among == len(column) and {other, _parent(other)} & {place, _parent(place)}
        ]
        found = _beside(beside[0], column, index) if beside else match_labels(column, index.labels)
        if found is None:
            return None
        scans, exact = found.scans, found.exact
        people = set(index.of_scan[scans].tolist())
        return self.file.finding(
            "cohort's labels",
            "leaks",
            place,
            f"{len(scans):,} of {len(column):,} numbers are labels of the cohort.",
            "Remove them; a model does not need the labels of its training set to predict.",
            people=len(people),
            proof=index.proof(people, exact),
        )


def _beside(match: RowMatch, column: np.ndarray, index: CohortIndex) -> LabelMatch | None:
    """Return the labels that stand beside the rows of the same people."""
    # Any visit of the person counts, since tables repeat the same measures for several visits.
    people = index.of_scan[match.scans]
    same = index.of_scan == people[:, None]
    agree = (same & np.isclose(column[match.rows][:, None], index.labels, rtol=1e-6)).any(1)
    if agree.mean() < _AGREE:
        return None
    return LabelMatch(match.scans[agree], "the label of each matched row, number by number")


def _parent(place: str) -> str:
    return place.rpartition(".")[0]


def _columns(array: np.ndarray) -> list[np.ndarray]:
    """Return the columns of an array that may be a table of a few: itself if it has one axis.

    Its columns may stand as rows. Arrays with many of both are no tables of ids and labels.
    """
    array = array.squeeze()
    if array.ndim == 1:
        return [array]
    if array.ndim == 2 and min(array.shape) <= _MOST_COLUMNS < max(array.shape):
        return list(array if len(array) <= _MOST_COLUMNS else array.T)
    return []


def _numbers(column: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return a column as numbers, NaN where a cell is none."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        return column.astype(np.float64)
    cells = pd.Series([text(cell) for cell in column])
    return pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
