"""Match two spellings of one person's id, such as "sub-1" in a table and "sub-001" on disk."""

from __future__ import annotations

import re
from collections.abc import Collection

from memberscan.cohort.ids import folded
from memberscan.errors import ParticipantsError


def match_ids(listed: Collection[str], found: Collection[str], *, prefix: str, where: str) -> dict[str, str]:
    """Match the ids of a table with the ids of a folder, although they may be spelled differently.

    Equal ids match. Of the other ids, two match if they differ only by a prefix or by what
    :func:`~memberscan.cohort.ids.folded` removes, and if no third id of the table or the folder is equal to
    them up to the same differences.

    Parameters
    ----------
    listed
        Ids in the table.
    found
        Ids on disk.
    prefix
        Prefix that ids may have, such as "sub-".
    where
        Name of the table in error messages.

    Returns
    -------
    dict
        For each listed id, the matching id on disk, or the listed id itself if there is none.

    Raises
    ------
    ParticipantsError
        If an id on disk matches several ids of the table, or the reverse.
    """
    same = {name: name for name in listed}
    if not set(found) - same.keys():
        return same
    for key, (ours, theirs) in _alike(listed, found, prefix).items():
        missing = [name for name in ours if name not in theirs]
        left = [name for name in theirs if name not in ours]
        if not missing or not left:
            continue
        if len(ours) > 1 or len(theirs) > 1:
            raise ParticipantsError(
                f"{', '.join(missing)} on disk could be {' or '.join(left)} in {where}: all of these are "
                f"{key!r} except for case and zeros; write the ids in {where} as they are on disk"
            )
        same[theirs[0]] = ours[0]
    return same


def _alike(
    listed: Collection[str], found: Collection[str], prefix: str
) -> dict[str, tuple[list[str], list[str]]]:
    """Group the ids on disk and in the table by their form without case, zeros and prefix."""
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for place, ids in enumerate((found, listed)):
        names = sorted(set(ids))
        keys = folded([_without_prefix(name, prefix) for name in names])
        for folded_name, name in zip(keys, names, strict=True):
            # BIDS labels on disk have letters and digits only: 002_S_0413 in a table is 002S0413 on disk.
            key = re.sub(r"[\W_]+", "", folded_name) or folded_name
            groups.setdefault(key, ([], []))[place].append(name)
    return groups


def _without_prefix(name: str, prefix: str) -> str:
    # Remove all repeats at once: one at a time, a prefix that is repeated a million times takes minutes.
    text = re.sub(rf"(?:{re.escape(prefix)}\s*)*+", "", name.strip().casefold(), count=1)
    # "sub01" and "sub_01": without its hyphen, the prefix counts only before a number.
    return re.sub(rf"^{re.escape(prefix.rstrip('-'))}[_ ]?(?=\d)", "", text)


def in_order(sessions: Collection[str]) -> list[str]:
    """Return sessions in order of time, as far as their names show it: numbers are compared as numbers."""
    return sorted(sessions, key=_order)


_FIRST = re.compile(r"(ses-)?(baseline|base|bl|screening|first|initial|pre|test)(?![a-z])", re.IGNORECASE)


def _order(session: str) -> tuple[bool, list[tuple[int, int, str]]]:
    # In pieces of at most 18 digits, because Python refuses to convert numbers with thousands of digits.
    parts = re.split(r"(\d{1,18})", session.casefold())
    numbers = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    return _FIRST.match(session) is None, numbers
