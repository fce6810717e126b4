"""The head of a report: the name of the audit, the auditor's note, and the date."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memberscan.errors import BadInputError
from memberscan.output_directory import REQUEST
from memberscan.received import load_json
from memberscan.report.content.parts import LONGEST_NAME, LONGEST_NOTE

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Heading:
    """What identifies a report to its readers; it does not change any number.

    Parameters
    ----------
    name, note
        Free text of the auditor, in one line each; None if nothing was given.
    date
        UTC day on which the audit was first started; None where that was not recorded.
    """

    name: str | None = None
    note: str | None = None
    date: str | None = None

    @classmethod
    def of(cls, name: str | None, note: str | None) -> Heading:
        """Return a heading with today's date.

        Raises
        ------
        BadInputError
            If a text is too long.
        """
        return cls(_one_line("name", name, LONGEST_NAME), _one_line("note", note, LONGEST_NOTE), _today())

    def since(self, directory: Path) -> Heading:
        """Return the same with the date on which the audit in a directory was first started.

        So an audit that is interrupted and resumed on another day gives the same bytes. A name or note that
        is not given again is also taken from the first start.
        """
        stored = load_json(directory / REQUEST)
        date, name, note = (
            text if isinstance(stored, dict) and isinstance(text := stored.get(key), str) else None
            for key in ("date", "name", "note")
        )
        return Heading(
            self.name or _one_line("name", name, LONGEST_NAME),
            self.note or _one_line("note", note, LONGEST_NOTE),
            date if date and _DATE.fullmatch(date) else None,
        )

    def replaces(self, provenance: Mapping[str, Any]) -> dict[str, str]:
        """Return the texts that were given and differ from those of a finished audit."""
        given = {"name": self.name, "note": self.note}
        return {key: text for key, text in given.items() if text and text != provenance.get(key)}


def _one_line(what: str, text: str | None, longest: int) -> str | None:
    joined = " ".join((text or "").split())
    if len(joined) > longest:
        raise BadInputError(f"--{what} has {len(joined)} characters; give at most {longest}")
    return joined or None


def _today() -> str:
    """Return the UTC day, or that of SOURCE_DATE_EPOCH, which reproducible builds use to fix the date."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    if not fixed:
        return datetime.now(UTC).date().isoformat()
    try:
        return datetime.fromtimestamp(int(fixed), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise BadInputError(
            f"SOURCE_DATE_EPOCH is {fixed!r}; give whole seconds since 1970, or unset it"
        ) from error
