"""Search texts for many given ids at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from memberscan.inspection.nodes import text

_MOST_FORMS = 50
"""With more forms than this, letters stand for any letters too."""
FEWEST_NUMBERS = 3
"""Ids of digits only count if at least this many of a column are found, and this share of its cells:"""
_SHARE = 0.2


class _Form(NamedTuple):
    """How some ids look: a pattern, and characters that each of them has."""

    hint: str
    pattern: re.Pattern[str]


class IdSearch:
    """Finds given ids as whole words in texts.

    A pattern of a thousand alternatives is slow. Ids of a study share a form, such as "sub-" and four digits,
    so that a text is searched for the forms, and what is found is looked up.

    Parameters
    ----------
    ids
        The ids. A BIDS label is also found without or with its "sub-".
    """

    def __init__(self, ids: Collection[str]) -> None:
        named = {each for each in ids if each}
        self._ids = {each: each for each in named}
        for each in named:
            bare = each.removeprefix("sub-")
            self._ids.setdefault(bare, each)
            self._ids.setdefault(f"sub-{bare}", each)
        words = [each for each in self._ids if not _is_bare(each)]
        self._forms = _forms(words)
        digits = [
            each for each in self._ids if each.isdecimal() and each == str(int(each)) and len(each) < 16
        ]
        self._numbers = np.array(sorted(map(int, digits)), dtype=np.int64)

    def in_text(self, text: str) -> Iterator[str]:
        """Yield the ids in a text; ids of digits only, or too short to be words, are left out."""
        for hint, pattern in self._forms:
            if hint in text:
                for match in pattern.finditer(text):
                    if (found := self._ids.get(match[0])) is not None:
                        yield found

    def in_column(self, column: Sequence[Any] | np.ndarray) -> set[str]:
        """Return the ids that are whole cells of a column; numbers only if many are found.

        Parameters
        ----------
        column
            Texts, numbers or both; a number is an id as it is written without decimals.
        """
        if isinstance(column, np.ndarray) and column.dtype.kind in "iuf":
            cells = column[np.isin(column, self._numbers)] if len(self._numbers) else column[:0]
            found = {self._ids[str(int(each))] for each in np.unique(cells)}
            return found if self._are_many(found, len(cells), len(column)) else set()
        texts = [_as_text(cell) for cell in column]
        known = self._ids.keys() & set(texts)
        found = {self._ids[each] for each in known}
        hits = sum(text in known for text in texts) if known else 0
        if all(_is_bare(each.removeprefix("sub-")) for each in found):
            return found if self._are_many(found, hits, len(texts)) else set()
        return found

    def _are_many(self, found: set[str], hits: int, cells: int) -> bool:
        """Return whether numbers that are ids are too many for a coincidence."""
        return len(found) >= FEWEST_NUMBERS and hits >= _SHARE * cells


def _as_text(cell: object) -> str:
    """Return a cell as an id is written: a whole number without decimals."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    return text(cell).strip()


def _is_bare(text: str) -> bool:
    """Return whether an id could be any number or any short word."""
    return len(text) < 4 or re.fullmatch(r"[\d.\-]+|[A-Za-z]+", text) is not None


def _forms(ids: Collection[str]) -> list[_Form]:
    """Return the forms of ids. Digits stand for any digits; letters do if there were too many forms."""
    for general in (False, True):
        forms = {_form(each, general=general) for each in ids}
        if len(forms) <= _MOST_FORMS or general:
            break
    return [
        _Form(hint, re.compile(rf"(?<![A-Za-z0-9])(?:{form})(?![A-Za-z0-9])")) for hint, form in sorted(forms)
    ]


def _form(text: str, *, general: bool) -> tuple[str, str]:
    """Return the longest run of literal characters of an id, and its form as a regular expression."""
    form, literal = "", [""]
    for run in re.findall(r"\d+|[A-Za-z]+|[^A-Za-z\d]+", text):
        if run.isdigit() and run.isascii():
            form += rf"\d{{{len(run)}}}"
            literal.append("")
        elif general and run.isalpha() and run != "sub":
            form += rf"[A-Za-z]{{{len(run)}}}"
            literal.append("")
        else:
            form += re.escape(run)
            literal[-1] += run
    return max(literal, key=len), form
