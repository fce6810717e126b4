"""What the tables of the report are made of: cells of plain text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from memberscan.report import words
from memberscan.report.content.parts import Estimate


class Cell(NamedTuple):
    """Text of a cell, a note below it in smaller letters, and the number of a note below the table."""

    text: str
    note: str = ""
    mark: int = 0


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row; its notes are numbered from 1."""

    caption: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    notes: tuple[str, ...] = ()


NONE = Cell("n/a")


def estimate(found: Estimate | None, form: Callable[[float], str] = words.fraction) -> Cell:
    """Return an estimate with its interval below, or n/a."""
    return Cell(form(found.value), words.span(found, form)) if found else NONE


def counted(people: int | None) -> str:
    """Return a number of people, or "hidden" where it is not published."""
    return "hidden" if people is None else words.count(people)


def sides(members: int | None, nonmembers: int | None) -> Cell:
    """Return members + non-members, or "hidden" where they are few."""
    if members is None or nonmembers is None:
        return Cell("hidden")
    return Cell(f"{members:,}\u00a0+\u00a0{nonmembers:,}")
