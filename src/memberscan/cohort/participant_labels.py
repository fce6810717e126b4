"""Choose people of a BIDS dataset by their labels, as BIDS Apps do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memberscan.errors import CohortError

if TYPE_CHECKING:
    from memberscan.cohort.bids import ScanFile


def only_participants(scans: Sequence[ScanFile], labels: Sequence[str]) -> list[ScanFile]:
    """Return the images of some people, in the order given.

    Parameters
    ----------
    scans
        Images of a dataset.
    labels
        Labels of people, with or without "sub-"; none means everybody.

    Raises
    ------
    CohortError
        If the dataset has no image of one of them.
    """
    wanted = {label.removeprefix("sub-") for label in labels}
    if absent := sorted(wanted - {scan.entities["sub"] for scan in scans}):
        raise CohortError(
            f"the dataset has no such image of {', '.join(absent[:10])}; compare the labels with "
            "the names of its sub- folders"
        )
    return [scan for scan in scans if not wanted or scan.entities["sub"] in wanted]
