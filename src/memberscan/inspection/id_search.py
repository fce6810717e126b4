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
_LIKELY, _UNLIKELY, _RARE, _NEARLY_ALL = 0.5, 1e-6, 0.02, 0.9
"""Numbers prove nothing if ids are this share of all in their range, if chance is likelier than that,
or if ids are not rare in their range and fewer than nearly all numbers are ids."""


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

    def get(self, word: str) -> str | None:
        """Return the id that a word is as a whole, or None."""
        return self._ids.get(word)

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
            many = self._are_many(found, len(cells), len(column))
            return found if many and not self._by_chance(column, len(cells), len(found)) else set()
        texts = [_as_text(cell) for cell in column]
        known = self._ids.keys() & set(texts)
        found = {self._ids[each] for each in known}
        hits = sum(text in known for text in texts) if known else 0
        if all(_is_bare(each.removeprefix("sub-")) for each in found):
            if not self._are_many(found, hits, len(texts)):
                return set()
            # A number with leading zeros does not count or measure anything.
            if all(each.isdecimal() and each[0] != "0" for each in known):
                numbers = np.array([float(each) for each in texts if each.isdecimal()])
                return set() if self._by_chance(numbers, hits, len(found)) else found
        return found

    def _are_many(self, found: set[str], hits: int, cells: int) -> bool:
        """Return whether numbers that are ids are too many for a coincidence."""
        return len(found) >= FEWEST_NUMBERS and hits >= _SHARE * cells

    def _by_chance(self, column: np.ndarray, hits: int, found: int) -> bool:
        """Return whether random whole numbers of a column's range could be as many different ids.

        Ages from 20 to 80, and numbers of epochs, are ids of a study that numbers its people from 1.
        """
        values = column[np.isfinite(column)]
        low, high = float(values.min()), float(values.max())
        within = int(((self._numbers >= low) & (self._numbers <= high)).sum())
        # The range is at least as wide as if it began at the fewest digits that the largest number has.
        share = within / (max(high - low, 10 ** (len(str(int(abs(high)))) - 1)) + 1)
        few = share > _RARE and hits < _NEARLY_ALL * len(column)
        return share > _LIKELY or share**found > _UNLIKELY or few


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
