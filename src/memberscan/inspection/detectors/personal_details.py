"""Names, dates of birth and days of scans, by the names of keys, columns and tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from memberscan.inspection import column_names
from memberscan.inspection.content import Grade, InspectionFinding, Kind
from memberscan.inspection.detectors.base import Detector, FileContext
from memberscan.inspection.nodes import Node, joined, text
from memberscan.inspection.values import Columns
from memberscan.report import words

_DATE = re.compile(
    r"\b(?:1[89]|20)\d\d[-/.]?(?:0[1-9]|1[0-2])[-/.]?(?:0[1-9]|[12]\d|3[01])|\b\d\d?[./-]\d\d?[./-](?:19|20)\d\d\b"
)
_EMPTY = {
    "",
    "n/a",
    "nan",
    "none",
    "null",
    "anonymous",
    "anonymized",
    "anonymised",
    "anon",
    "unknown",
    "xxx",
    "removed",
}
_KINDS: tuple[tuple[frozenset[str], Kind, Grade, str, bool], ...] = (
    (column_names.NAMES, "names of people", "leaks", "names of people", False),
    (column_names.BIRTH, "dates of birth", "leaks", "dates of birth", True),
    (column_names.SCANNED, "dates of scans", "look", "days on which people were scanned", True),
)


class PersonalDetails(Detector):
    """Finds what identifies people besides ids."""

    def __init__(self, file: FileContext) -> None:
        super().__init__(file)
        self._values: dict[tuple[Kind, Grade, str], set[str]] = {}
        self._places: dict[Kind, str] = {}

    def see(self, node: Node) -> None:
        """Look at the named values of a table, of a mapping, or of a key."""
        if isinstance(node.value, str):
            self._look(node.name, node.place, [node.value])
        elif isinstance(node.value, Columns):
            for name, column in node.value.columns.items():
                self._look(name, f"{node.place}.{name}" if node.place else name, column)
            self._look_at_entries(node.place, node.value)
        elif isinstance(node.value, Mapping):
            for key, value in node.value.items():
                if isinstance(key, str) and isinstance(value, (int, bytes)):
                    self._look(key, f"{node.place}.{key}" if node.place else key, [value])

    def _look_at_entries(self, place: str, table: Columns) -> None:
        """Look at a mapping of single values, which is read as a table of keys and values."""
        if list(table.columns) == ["key", "value"]:
            for key, value in zip(table.columns["key"], table.columns["value"], strict=True):
                self._look(str(key), joined(place, str(key)), [value])

    def _look(self, name: str, place: str, values: Iterable[Any]) -> None:
        plain = column_names.normalised(name)
        for names, kind, grade, what, dated in _KINDS:
            if plain in names:
                given = {text(value).strip() for value in values}
                kept = {value for value in given if value.lower().strip("^ ") not in _EMPTY}
                if dated:
                    kept = {
                        value for value in kept if _DATE.search(value) or (plain.startswith("y") and value)
                    }
                if kept:
                    self._values.setdefault((kind, grade, what), set()).update(kept)
                    self._places.setdefault(kind, place)

    def findings(self) -> Iterator[InspectionFinding]:
        """Yield one finding for each kind of detail."""
        if self.file.program:
            return
        for (kind, grade, what), values in self._values.items():
            yield self.file.finding(
                kind,
                grade,
                self._places[kind],
                f"It holds {what} ({words.people(len(values), 'different value', 'different values')}).",
                "Remove them; a day can identify somebody who is known to have been scanned or born on it.",
                people=len(values),
            )
