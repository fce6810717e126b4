"""From the reports on single files to the content of an inspection: the worst first, and without ids."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from memberscan import __version__
from memberscan.inspection import own_files
from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.content import (
    INSPECTION_SCHEMA,
    Grade,
    InspectionContent,
    InspectionFinding,
    ReadFile,
    Verdict,
)
from memberscan.inspection.detectors import FileContext, known_ids
from memberscan.inspection.detectors.id_patterns import ids_in
from memberscan.inspection.masking import Mask
from memberscan.inspection.reading import FileReport
from memberscan.report import words
from memberscan.shown import plain_values

_ORDER: dict[Grade, int] = {"leaks": 0, "look": 1, "note": 2}


def judged(
    paths: Sequence[Path], reports: list[FileReport], index: CohortIndex | None
) -> tuple[InspectionContent, frozenset[str]]:
    """Return the content: findings of all files, the worst first, without ids."""
    mask = Mask(index.search if index else None)
    files = sorted((file for report in reports for file in report.files), key=lambda file: file.file)
    findings = [finding for report in reports for finding in report.findings]
    own = own_files.findings([file.file for file in files])
    findings = [*_together(findings), *own, *_names(files, index), *_unread(files)]
    findings.sort(key=lambda each: (_ORDER[each.grade], -(each.people or 0), each.file, each.place))
    ids = frozenset().union(*(report.ids for report in reports))
    shown = [
        each.model_copy(update={key: mask(getattr(each, key)) for key in ("file", "place", "what")})
        for each in findings
    ]
    content = InspectionContent(
        schema=INSPECTION_SCHEMA,
        memberscan=__version__,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        release=tuple(mask(path.resolve().name) for path in paths),
        verdict=verdict_of(findings),
        files=tuple(
            file.model_copy(update={"file": mask(file.file), "unread": mask(file.unread)}) for file in files
        ),
        findings=tuple(shown),
        cohort=index.compared if index else None,
        searched_ids=len(index.people) if index else 0,
    )
    return InspectionContent.model_validate(plain_values(content.dump())), ids | mask.ids


def verdict_of(findings: Sequence[InspectionFinding]) -> Verdict:
    """Return the worst grade of the findings; notes alone are no finding about people."""
    grades = {each.grade for each in findings}
    return "leaks" if "leaks" in grades else "look" if "look" in grades else "nothing found"


def _together(findings: Sequence[InspectionFinding]) -> Iterator[InspectionFinding]:
    """Yield findings, with notes of the same kind joined into one, since they stand in many files alike."""
    notes: dict[str, list[InspectionFinding]] = {}
    for finding in findings:
        if finding.grade == "note":
            notes.setdefault(finding.kind, []).append(finding)
        else:
            yield finding
    for alike in notes.values():
        more = f" The same in {words.people(len(alike) - 1, 'other file')}." if len(alike) > 1 else ""
        yield alike[0].model_copy(update={"what": alike[0].what + more})


def _names(files: Sequence[ReadFile], index: CohortIndex | None) -> Iterator[InspectionFinding]:
    """Yield a finding for ids in the names of files, which one file alone may not show."""
    names = [file.file for file in files]
    of: dict[str, set[str]] = {}
    for name in names:
        for cohort, found in ids_in(name):
            of.setdefault(cohort, set()).add(found)
    context = FileContext("names of files")
    for cohort, ids in of.items():
        yield context.finding(
            "ids of people",
            "leaks" if len(ids) >= known_ids.FEWEST else "look",
            "",
            f"Names of files hold {words.people(len(ids), 'id', 'ids')} in the form of {cohort}.",
            "Give the files names without ids.",
            people=len(ids),
        )
    if index is not None:
        people = {index.people[each] for name in names for each in index.search.in_text(name)}
        if people:
            yield context.finding(
                "cohort's ids",
                "leaks",
                "",
                f"Names of files name {words.people(len(people), 'person', 'people')} of those searched for.",
                "Give the files names without ids.",
                people=len(people),
                proof=index.proof(people, "ids as whole words"),
            )


def _unread(files: Sequence[ReadFile]) -> Iterator[InspectionFinding]:
    """Yield a finding for each reason why files were not read, with how many there are."""
    reasons = Counter(file.unread for file in files if file.unread)
    for reason, count in reasons.items():
        first = next(file for file in files if file.unread == reason)
        more = f" This is so for {count:,} files." if count > 1 else ""
        yield FileContext(first.file).finding(
            "not read",
            "look",
            "",
            f"It, or a part of it, was not read: {reason}.{more}",
            "Look at it by other means, or leave it out of the release.",
        )
