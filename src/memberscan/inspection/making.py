"""Inspect a release: list its files, read each of them, and judge what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memberscan.cohort import Cohort
from memberscan.inspection.cohort_index import CohortIndex, index_of
from memberscan.inspection.content import InspectionContent
from memberscan.inspection.isolation import Isolated
from memberscan.inspection.judging import judged
from memberscan.inspection.listing import listed
from memberscan.inspection.masking import Mask
from memberscan.inspection.reading import FileReport, Task
from memberscan.progress import progress


@dataclass(frozen=True)
class Inspected:
    """What was found in a release."""

    content: InspectionContent
    """What may be shown: ids are counted, and replaced by numbers."""
    ids: frozenset[str]
    """The ids that were found. They are about people: show them only to those who may see them."""
    tasks: list[Task]
    """The files that were read."""
    index: CohortIndex | None
    """What they were compared with."""
    mask: Mask
    """What replaces ids by numbers, in everything that is shown."""


def inspect(
    paths: Sequence[Path | str],
    *,
    cohort: Cohort | Path | str | None = None,
    members: Path | str | None = None,
) -> Inspected:
    """Find what the files of a release say about people, without executing anything in them.

    A verdict of "nothing found" is about the files that were read. It is no statement about what the model
    itself remembers of its members.

    Parameters
    ----------
    paths
        Folders and files. Symbolic links are not followed.
    cohort
        The cohort that the model was trained on, or its directory. With it, matches are proven.
    members
        A text file with the ids of the members, one per line.

    Raises
    ------
    BadInputError
        If a path does not exist, or there is no file to read.
    """
    opened = Cohort.open(cohort) if isinstance(cohort, (str, Path)) else cohort
    index = index_of(opened, Path(members) if members is not None else None)
    given = [Path(path) for path in paths]
    tasks, unread = listed(given)
    reports = [FileReport(files=unread)]
    with Isolated(index) as process, progress("Reading the release", len(tasks)) as advance:
        for task in tasks:
            reports.append(process.carry_out(task))
            advance(1)
    content, ids, mask = judged(given, reports, index)
    return Inspected(content, ids, tasks, index, mask)
