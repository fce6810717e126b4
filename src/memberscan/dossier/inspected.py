"""What an inspection says of the files of a release."""

from __future__ import annotations

from typing import Literal

from memberscan.dossier.content import FileFinding, Files, ReleasedFile
from memberscan.dossier.sources import Given, Sources
from memberscan.inspection.content import InspectionFinding
from memberscan.report import words
from memberscan.report.content.parts import Label

_OUTCOMES: dict[str, Label] = {
    "leaks": "leaks",
    "look": "inconclusive",
    "nothing found": "no leak shown",
}
_VERDICTS = {
    "leaks": "they name people or hold their data",
    "look": "a person must look at some of them",
    "nothing found": "nothing about people was found in them",
}
_GRADES: dict[str, Literal["leaks", "to be looked at", "note"]] = {
    "leaks": "leaks",
    "look": "to be looked at",
    "note": "note",
}


def files_of(sources: Sources) -> Files | None:
    """Return what the inspection found; None without one."""
    if sources.inspection is None:
        return None
    given, content = sources.inspection
    unread = sum(bool(file.unread) for file in content.files)
    return Files(
        verdict=_VERDICTS[content.verdict],
        outcome=_OUTCOMES[content.verdict],
        read=len(content.files) - unread,
        unread=unread,
        proven=content.cohort is not None,
        findings=tuple(_finding(given, k, finding) for k, finding in enumerate(content.findings)),
        released=tuple(
            ReleasedFile(file=file.file, size=file.size, sha256=file.sha256)
            for file in content.files
            if file.sha256
        ),
        source=given.at("verdict"),
    )


def _finding(given: Given, k: int, finding: InspectionFinding) -> FileFinding:
    return FileFinding(
        grade=_GRADES[finding.grade],
        kind=finding.kind,
        file=f"{finding.file}{f', {finding.place}' if finding.place else ''}",
        people=finding.people,
        text=_text(finding),
        mend=finding.mend,
        source=given.at(f"findings[{k}]"),
    )


def _text(finding: InspectionFinding) -> str:
    """Return a finding in words, with what a cohort proves."""
    if (proof := finding.proof) is None:
        return finding.what
    members = ""
    if proof.members is not None and proof.members_of is not None:
        members = f", among them {proof.members} of {words.people(proof.members_of, 'member')}"
    return (
        f"{finding.what} Proven: {proof.people} of {words.people(proof.of, 'person', 'people')} of the cohort"
        f"{members} ({proof.exact})."
    )
