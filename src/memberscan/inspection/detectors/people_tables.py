"""Tables with a row for each person: ids with ages, sexes, diagnoses or predictions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memberscan.inspection import column_names
from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.detectors.id_patterns import ids_in
from memberscan.inspection.nodes import FEWEST_ROWS, Node, text
from memberscan.inspection.values import Columns
from memberscan.report import words

_SAMPLE = 1000
"""Rows of a chunk in which ids are looked for, to decide whether a column holds ids."""


@dataclass
class _Table:
    """What is known of one table, which large files give in several chunks."""

    rows: int = 0
    ids: set[str] = field(default_factory=set)
    named: str = ""
    about: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    answers: bool = False
    predicted: bool = False
    folds: bool = False


class PeopleTables(Detector):
    """Finds tables by the names of their columns and by ids among their values."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._tables: dict[str, _Table] = {}

    def see(self, node: Node) -> None:
        """Look at a table."""
        if not isinstance(node.value, Columns) or node.value.rows < 1:
            return
        table = self._tables.setdefault(node.place, _Table())
        table.rows += node.value.rows
        names = {name: column_names.normalised(name) for name in node.value.columns}
        table.about = [name for name, plain in names.items() if plain in column_names.ABOUT]
        numeric = [plain for name, plain in names.items() if _is_numeric(node.value.columns[name])]
        table.answers = any(column_names.PREDICTED.match(plain) for plain in numeric)
        table.predicted = table.answers and any(column_names.TRUE.match(plain) for plain in numeric)
        table.columns = list(names)
        table.folds = any(column_names.FOLDS.match(plain) for plain in names.values())
        name = table.named or _id_column(node.value, names, bool(table.about or table.answers))
        if name and name in node.value.columns:
            table.named = name
            table.ids.update(text(cell) for cell in node.value.columns[name])

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield a finding for each table of people."""
        for place, table in self._tables.items():
            if (found := self._judged(place, table)) is not None:
                yield found

    def _judged(self, place: str, table: _Table) -> InspectionFinding | None:
        strong = [name for name in table.about if column_names.normalised(name) in column_names.STRONG]
        if table.rows < FEWEST_ROWS or self.file.program:
            return None
        if table.named:
            return self._with_ids(place, table)
        if len(table.about) >= 2 and strong:
            return self.file.finding(
                "table of people",
                "leaks",
                place,
                f"A table of {table.rows:,} rows, for people or scans, with {words.listed(table.about[:6])}.",
                "Remove the table; without ids, people can still be told apart by what it says of them.",
                people=table.rows,
            )
        if table.predicted or (table.folds and table.rows >= 10):
            what = "predictions beside the true values" if table.predicted else "a column of folds or splits"
            return self.file.finding(
                "predictions" if table.predicted else "folds",
                "look",
                place,
                f"A table of {table.rows:,} rows with {what}.",
                "Remove it, or publish it only for people who were not trained on.",
                people=table.rows,
            )
        return None

    def _with_ids(self, place: str, table: _Table) -> InspectionFinding | None:
        """Return what a table with a column of ids is: a table of people, or a list of ids."""
        self.file.ids |= table.ids
        people = words.people(len(table.ids), "person", "people")
        others = len(table.columns) - 1
        if others:
            # Names of columns that are not in the vocabulary may be ids, or cells of a file without a header.
            other = "other column" if others == 1 else "other columns"
            said = words.listed(table.about[:6]) if table.about else f"{others:,} {other}"
            return self.file.finding(
                "table of people",
                "leaks",
                place,
                f"A table with ids ({table.named}) and {said} of {people}.",
                "Remove the table; publish a summary of all people together instead.",
                people=len(table.ids),
            )
        if next(ids_in(next(iter(table.ids))), None) is not None:
            return None  # found by the form of its ids
        return self.file.finding(
            "ids of people",
            "leaks",
            place,
            f"A list of {people} by their ids ({table.named}).",
            "Remove the ids; a model does not need them to predict.",
            people=len(table.ids),
        )


def _id_column(table: Columns, names: dict[str, str], about_people: bool) -> str:
    """Return the column that tells people apart; empty if there is none.

    A column named like an id counts if its values differ, and a column with a vague name only beside columns
    about people. Ids of a known form count under any name.
    """
    for name, plain in names.items():
        column = table.columns[name]
        named = plain in column_names.IDS or (
            about_people and (plain in column_names.WEAK_IDS or plain == "")
        )
        if not named and isinstance(column, np.ndarray) and column.dtype.kind in "biufM":
            continue
        sample = [text(cell) for cell in column[:_SAMPLE]]
        known = sum(next(ids_in(cell), None) is not None for cell in sample) if _may_hold_ids(sample) else 0
        if known >= max(0.5 * len(sample), 1):
            return name
        if named and len(set(sample)) >= max(FEWEST_ROWS, 0.2 * len(sample)) and not _counts(column):
            return name
    return ""


def _may_hold_ids(sample: Sequence[str]) -> bool:
    """Return whether a column may hold ids of a known form, by its first cell that is not empty."""
    first = next((cell for cell in sample if cell), "")
    return re.search(r"[A-Za-z_]", first) is not None


def _counts(column: Sequence[Any] | np.ndarray) -> bool:
    """Return whether a column only counts the rows, as the index of a data frame does."""
    cells = [text(cell) for cell in column[:_SAMPLE]]
    return cells in ([str(k) for k in range(len(cells))], [str(k + 1) for k in range(len(cells))])


def _is_numeric(column: Sequence[Any] | np.ndarray) -> bool:
    """Return whether a column holds numbers, perhaps as text."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "iuf":
        return True
    try:
        return all(np.isfinite(float(text(cell))) or text(cell) == "nan" for cell in column[:50])
    except ValueError:
        return False
