"""From the reports on single files to the content of an inspection: the worst first, and without ids."""

from __future__ import annotations

import datetime
import re
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

_DIGITS = re.compile(r"(?<![A-Za-z0-9])\d{4,}(?![A-Za-z0-9])")
"""Words of a path that may be ids of digits."""
_ORDER: dict[Grade, int] = {"leaks": 0, "look": 1, "note": 2}


def judged(
    paths: Sequence[Path], reports: list[FileReport], index: CohortIndex | None
) -> tuple[InspectionContent, frozenset[str], Mask]:
    """Return the content, with the worst findings first and without ids; the ids; and what hid them."""
    ids = frozenset().union(*(report.ids for report in reports))
    mask = Mask(index.search if index else None, ids)
    files = sorted((file for report in reports for file in report.files), key=lambda file: file.file)
    findings = [finding for report in reports for finding in report.findings]
    own = own_files.findings([file.file for file in files])
    findings = [*_together(findings), *own, *_names(files, index), *_unread(files)]
    findings.sort(key=lambda each: (_ORDER[each.grade], -(each.people or 0), each.file, each.place))
    content = InspectionContent(
        schema=INSPECTION_SCHEMA,
        memberscan=__version__,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        release=tuple(mask.name(path.resolve().name) for path in paths),
        verdict=verdict_of(findings),
        files=tuple(
            file.model_copy(update={"file": mask.name(file.file), "unread": mask(file.unread)})
            for file in files
        ),
        findings=tuple(_without_ids(each, mask) for each in findings),
        cohort=index.compared if index else None,
        searched_ids=len(index.people) if index else 0,
    )
    return InspectionContent.model_validate(plain_values(content.dump())), ids | mask.ids, mask


def _without_ids(finding: InspectionFinding, mask: Mask) -> InspectionFinding:
    return finding.model_copy(
        update={
            "file": mask.name(finding.file),
            "place": mask.name(finding.place),
            "what": mask(finding.what),
        }
    )


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
    if index is not None and (finding := _searched_for(names, index)) is not None:
        yield finding


def _searched_for(names: Sequence[str], index: CohortIndex) -> InspectionFinding | None:
    """Return a finding if names of files hold ids of the cohort or the list."""
    digits = sorted({each for name in names for each in _DIGITS.findall(name)})
    found = {each for name in names for each in index.search.in_text(name)} | index.search.in_column(digits)
    people = {index.people[each] for each in found}
    if not people:
        return None
    return FileContext("names of files").finding(
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
