"""Names of learners: they become names of files, so one rule decides which names there can be."""

from __future__ import annotations

from collections.abc import Iterable

from memberscan.received import is_plain_name

GLOBAL = "global"
CIPHERTEXT = "ciphertext"
RESERVED = (GLOBAL, CIPHERTEXT, "all", "nan")
"""What no learner can be called: files of a round, the sum of all, and what a table reads as nothing."""
RULE = (
    "a learner's name has at most 100 letters, digits, '.', '_' and '-', begins with a letter or a digit, "
    f"and is none of {', '.join(RESERVED)} in any case; no two names differ by case only"
)


def can_name_a_learner(name: object) -> bool:
    """Tell whether files of a transcript can be called by this name, on file systems without case too."""
    return isinstance(name, str) and is_plain_name(name) and name.lower() not in RESERVED


def unusable_name(names: Iterable[str]) -> str | None:
    """Return the first name that no learner can have beside those before it, or None if all can be used."""
    taken: set[str] = set()
    for name in names:
        # Two names that differ by case would be one file on some disks.
        if not can_name_a_learner(name) or name.lower() in taken:
            return name
        taken.add(name.lower())
    return None
