"""Replace the ids of people in names of files and places by numbers, so that reports do not repeat them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from memberscan.inspection.detectors.id_patterns import PATTERNS
from memberscan.inspection.id_search import IdSearch

_MASKED = re.compile(r"\[id \d+\]")
_PART = re.compile(r"[^/!.\[\]()]+")
"""Parts of a path or place: names of folders and files without their ends, and keys."""
_DIGITS = re.compile(r"(?<![A-Za-z0-9])\d{4,}(?![A-Za-z0-9])")
_LIKE_AN_ID = re.compile(r"\d{5,}")
"""A key or a name of only so many digits is hidden even if it is not known: such are the ids of
several cohorts."""


class Mask:
    """Gives each id a number, in the order in which it is first met; the same id has the same number.

    Parameters
    ----------
    search
        Finds the ids of a cohort or a list; None without one.
    found
        Ids that were found in files, whatever they look like.
    """

    def __init__(self, search: IdSearch | None, found: Collection[str] = ()) -> None:
        self._searches = [each for each in (search, IdSearch(found) if found else None) if each is not None]
        self._numbers: dict[str, int] = {}
        self._met: set[str] = set()

    @property
    def ids(self) -> set[str]:
        """The ids that were met; what only looks like one is not among them."""
        return set(self._met)

    def __call__(self, text: str) -> str:
        """Return a text without the ids that it holds."""
        for search in self._searches:
            for found in sorted(set(search.in_text(text)), key=len, reverse=True):
                text = self._without(text, found)
        for _, hint, pattern in PATTERNS:
            if hint in text:
                text = pattern.sub(lambda match: match[0].replace(match[1], self._number(match[1])), text)
        return self._outside_masks(text, _DIGITS, self._known)

    def name(self, text: str) -> str:
        """Return the name of a file or a place without the ids that it holds.

        A part of a name that is an id as a whole is replaced even if it could be any word or number.
        """
        return self._outside_masks(self(text), _PART, lambda part: self._known(part) or self._likely(part))

    def _without(self, text: str, found: str) -> str:
        """Return a text without an id, which may stand there with or without its "sub-"."""
        bare = found.removeprefix("sub-")
        word = rf"(?<![A-Za-z0-9])(?:sub-)?{re.escape(bare)}(?![A-Za-z0-9])"
        if len(bare) < 4 or bare.isalpha() or bare.isdigit():  # alone, it could be any word or number
            word = rf"(?<![A-Za-z0-9])sub-{re.escape(bare)}(?![A-Za-z0-9])"
        return re.sub(word, self._number(found), text)

    def _outside_masks(self, text: str, pattern: re.Pattern[str], masked: Callable[[str], str]) -> str:
        """Return a text with the matches of a pattern masked, except in masks that it already holds."""
        kept, end = [], 0
        for done in [*_MASKED.finditer(text), None]:
            start = len(text) if done is None else done.start()
            kept.append(pattern.sub(lambda match: masked(match[0]) or match[0], text[end:start]))
            if done is not None:
                kept.append(done[0])
                end = done.end()
        return "".join(kept)

    def _known(self, text: str) -> str:
        """Return the mask of an id that was found or is searched for; empty if it is none."""
        known = (found for search in self._searches if (found := search.get(text)) is not None)
        return self._number(found) if (found := next(known, None)) is not None else ""

    def _likely(self, text: str) -> str:
        """Return the mask of what looks like an id of digits; empty if it does not."""
        return self._number(text, met=False) if _LIKE_AN_ID.fullmatch(text) else ""

    def _number(self, found: str, *, met: bool = True) -> str:
        if met:
            self._met.add(found)
        return f"[id {self._numbers.setdefault(found, len(self._numbers) + 1)}]"
