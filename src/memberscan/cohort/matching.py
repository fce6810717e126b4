"""Match ids of one person that are written in two ways: "sub-1" in a table, "sub-001" on the disk."""

from __future__ import annotations

import re
from collections.abc import Collection

from memberscan.cohort.ids import folded
from memberscan.errors import ParticipantsError


def match_ids(listed: Collection[str], found: Collection[str], *, prefix: str, where: str) -> dict[str, str]:
    """Find out which ids of a table and of a folder are the same, though they are not written alike.

    Equal ids are the same. Of the others, two are the same if they differ only by a prefix or by what
    :func:`~memberscan.cohort.ids.folded` takes away, and if no third id of the table or of the folder
    differs from them by that alone.

    Parameters
    ----------
    listed
        Ids in the table.
    found
        Ids on the disk.
    prefix
        What ids may begin with, such as "sub-".
    where
        Names the table in errors.

    Returns
    -------
    dict
        For each listed id the id on the disk, or itself where there is none.

    Raises
    ------
    ParticipantsError
        If an id on the disk could be any of several ids of the table, or the reverse.
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
                f"{', '.join(missing)} on the disk could be {' or '.join(left)} in {where}: all of these are "
                f"{key!r} but for case and zeros; write the ids in {where} as on the disk"
            )
        same[theirs[0]] = ours[0]
    return same


def _alike(
    listed: Collection[str], found: Collection[str], prefix: str
) -> dict[str, tuple[list[str], list[str]]]:
    """Return ids on the disk and in the table, by what they are without case, zeros and prefix."""
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for place, ids in enumerate((found, listed)):
        names = sorted(set(ids))
        keys = folded([_without_prefix(name, prefix) for name in names])
        for folded_name, name in zip(keys, names, strict=True):
            # A label on the disk has letters and digits only: 002_S_0413 of a table is 002S0413 there.
            key = re.sub(r"[\W_]+", "", folded_name) or folded_name
            groups.setdefault(key, ([], []))[place].append(name)
    return groups


def _without_prefix(name: str, prefix: str) -> str:
    # At once: taken off one by one, a prefix that is repeated a million times takes minutes.
    text = re.sub(rf"(?:{re.escape(prefix)}\s*)*+", "", name.strip().casefold(), count=1)
    # "sub01" and "sub_01": the prefix without its hyphen, which only counts as one before a number.
    return re.sub(rf"^{re.escape(prefix.rstrip('-'))}[_ ]?(?=\d)", "", text)


def in_order(sessions: Collection[str]) -> list[str]:
    """Return sessions as they followed one another, as far as their names tell: numbers count as numbers."""
    return sorted(sessions, key=_order)


_FIRST = re.compile(r"(ses-)?(baseline|base|bl|screening|first|initial|pre|test)(?![a-z])", re.IGNORECASE)


def _order(session: str) -> tuple[bool, list[tuple[int, int, str]]]:
    # In pieces of at most 18 digits, since Python refuses to read numbers of thousands of digits.
    parts = re.split(r"(\d{1,18})", session.casefold())
    numbers = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    return _FIRST.match(session) is None, numbers
