"""Names of learners: they become file names, so one rule says which names are allowed."""

from __future__ import annotations

from collections.abc import Iterable

from memberscan.received import is_plain_name

GLOBAL = "global"
CIPHERTEXT = "ciphertext"
RESERVED = (GLOBAL, CIPHERTEXT, "all", "nan")
"""Names that no learner can have: other files of a round, and words that tables use for totals or missing."""
RULE = (
    "a learner's name has at most 100 letters, digits, '.', '_' and '-', and begins with a letter or a "
    f"digit; {', '.join(RESERVED)} are not allowed in any case; no two names may differ only by case"
)


def can_name_a_learner(name: object) -> bool:
    """Return whether a learner may have this name, also on file systems that ignore case."""
    return isinstance(name, str) and is_plain_name(name) and name.lower() not in RESERVED


def unusable_name(names: Iterable[str]) -> str | None:
    """Return the first name that is not allowed, alone or beside the names before it; None if all are."""
    taken: set[str] = set()
    for name in names:
        # Two names that differ only by case would be one file on some disks.
        if not can_name_a_learner(name) or name.lower() in taken:
            return name
        taken.add(name.lower())
    return None
