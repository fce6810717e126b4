"""Replace the ids of people in names of files and places by numbers, so that reports do not repeat them."""

from __future__ import annotations

from memberscan.inspection.detectors.id_patterns import PATTERNS
from memberscan.inspection.id_search import IdSearch


class Mask:
    """Gives each id a number, in the order in which it is first met; the same id has the same number."""

    def __init__(self, search: IdSearch | None) -> None:
        self._search = search
        self._numbers: dict[str, int] = {}

    @property
    def ids(self) -> set[str]:
        """The ids that were met."""
        return set(self._numbers)

    def __call__(self, text: str) -> str:
        """Return a text without the ids that it holds."""
        if self._search is not None:
            for found in sorted(set(self._search.in_text(text)), key=len, reverse=True):
                bare = found.removeprefix("sub-")
                text = text.replace(found, self._number(found)).replace(bare, self._number(found))
        for _, hint, pattern in PATTERNS:
            if hint in text:
                text = pattern.sub(lambda match: match[0].replace(match[1], self._number(match[1])), text)
        return text

    def _number(self, found: str) -> str:
        return f"[id {self._numbers.setdefault(found, len(self._numbers) + 1)}]"
