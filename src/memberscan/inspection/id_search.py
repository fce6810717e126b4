"""Search texts for many given ids at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

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

    def in_text(self, text: str) -> Iterator[str]:
        """Yield the ids in a text; ids of digits only, or too short to be words, are left out."""
        for hint, pattern in self._forms:
            if hint in text:
                for match in pattern.finditer(text):
                    if (found := self._ids.get(match[0])) is not None:
                        yield found

    def in_cells(self, cells: Sequence[str]) -> set[str]:
        """Return the ids that are whole cells of a column; numbers only if too many for a coincidence."""
        stripped = [cell.strip() for cell in cells]
        found = {self._ids[cell] for cell in stripped if cell in self._ids}
        hits = sum(cell in self._ids for cell in stripped)
        if all(_is_bare(each.removeprefix("sub-")) for each in found) and (
            len(found) < FEWEST_NUMBERS or hits < _SHARE * len(stripped)
        ):
            return set()
        return found


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
