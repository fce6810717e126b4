"""The page of an inspection: the answer, what was found and how to mend it, what was read, and the limits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from memberscan.inspection.content import Grade, InspectionContent, InspectionFinding, Verdict
from memberscan.report import words
from memberscan.report.pages import Link, environment, page_of
from memberscan.report.table_cells import Cell, Table

_ENVIRONMENT = environment("memberscan.inspection")
_MOST_ROWS = 200
"""Most findings that the page shows of each grade; inspection.json has all."""
_TONES: dict[Verdict, str] = {"leaks": "leaks", "look": "inconclusive", "nothing found": ""}
_HEADINGS: dict[Grade, str] = {
    "leaks": "About people",
    "look": "To be looked at",
    "note": "Also found",
}
_INTRODUCTIONS: dict[Grade, str] = {
    "leaks": "These name people, or hold their data. Whoever has the release has them too.",
    "look": "These may be about people, or could not be read. Somebody who knows the data must look at them.",
    "note": "These are about those who made the files, or are left over from training.",
}


@dataclass(frozen=True)
class Part:
    """The findings of one grade, each with the sentence of its proof."""

    heading: str
    introduction: str
    findings: list[tuple[InspectionFinding, str]]
    left_out: int


@dataclass(frozen=True)
class Shown:
    """What the templates show."""

    content: InspectionContent
    label: str
    answer: str
    reservations: list[str]
    facts: str
    parts: list[Part]
    formats: Table
    unread: Table | None


def render(content: InspectionContent) -> str:
    """Return the page; the same content gives the same bytes. It needs no network and no JavaScript."""
    shown = shown_of(content)
    contents = [Link("findings", "What was found")] if shown.parts else []
    contents += [Link("files", "What was read"), Link("limits", "What this cannot see")]
    return page_of(
        _ENVIRONMENT,
        shown,
        "header",
        contents,
        title=f"Inspection of {words.listed(content.release)}: {content.verdict}",
        version=content.memberscan,
        tone=_TONES[content.verdict],
        styles=["templates/findings.css"],
    )


def shown_of(content: InspectionContent) -> Shown:
    """Return what the page shows of an inspection."""
    by_grade = {grade: [each for each in content.findings if each.grade == grade] for grade in _HEADINGS}
    size = sum(file.size for file in content.files if "!" not in file.file)
    return Shown(
        content=content,
        label=content.verdict,
        answer=answer(content),
        reservations=reservations(content),
        facts=f"{words.people(len(content.files), 'file')}, {_bytes(size)}",
        parts=[
            Part(
                heading=_HEADINGS[grade],
                introduction=_INTRODUCTIONS[grade],
                findings=[(each, _proven(each)) for each in found[:_MOST_ROWS]],
                left_out=max(len(found) - _MOST_ROWS, 0),
            )
            for grade, found in by_grade.items()
            if found
        ],
        formats=_formats(content),
        unread=_unread(content),
    )


def answer(content: InspectionContent) -> str:
    """Return the answer in one sentence."""
    worst = [each for each in content.findings if each.grade == content.verdict]
    where = words.people(len({each.file for each in worst}), "file")
    if content.verdict == "leaks":
        proven = [each for each in worst if each.proof is not None]
        if proven:
            most = max(proven, key=lambda each: each.proof.people if each.proof else 0).proof
            assert most is not None
            if most.members and most.members_of:
                whom = f"{most.members:,} of the {words.people(most.members_of, 'member')}"
            else:
                whom = f"{most.people:,} of the {words.people(most.of, 'person', 'people')} searched for"
            files = words.people(len({each.file for each in proven}), "file")
            return f"The release holds data of {whom}: this is proven, in {files}."
        return f"The release names people or holds their data, in {where}."
    if content.verdict == "look":
        return f"Nothing was found that certainly names people, but {where} must be looked at by a person."
    return "Nothing about people was found in the files."


def reservations(content: InspectionContent) -> list[str]:
    """Return what the answer leaves open, one sentence each."""
    said = []
    if content.verdict == "leaks":
        said.append("This stands whatever attacks on the model find: no attack is needed.")
    if content.cohort is None and not content.searched_ids:
        said.append(
            "No cohort was given, so that nothing was compared with the training data: give it with --cohort."
        )
    elif content.cohort is not None:
        said.append(
            f"All was compared with {words.people(content.cohort.people, 'person', 'people')} of the cohort"
            + (
                f", {content.cohort.members:,} of them members."
                if content.cohort.members is not None
                else "."
            )
        )
    if content.verdict == "nothing found":
        said.append(
            "A model can still give its members away by what it answers: that is for memberscan audit."
        )
    return said


def _proven(finding: InspectionFinding) -> str:
    """Return what of the cohort was proven to be there, in a sentence; empty without a proof."""
    proof = finding.proof
    if proof is None:
        return ""
    said = f"Proven for {proof.people:,} of {words.people(proof.of, 'person', 'people')}"
    if proof.members is not None and proof.members_of is not None:
        said += f", {proof.members:,} of the {words.people(proof.members_of, 'member')} among them"
    return f"{said}: {proof.exact}."


def _formats(content: InspectionContent) -> Table:
    counts = Counter(file.format or "unknown" for file in content.files)
    sizes = Counter[str]()
    for file in content.files:
        sizes[file.format or "unknown"] += file.size
    remarks = {
        "machine code": "not read",
        "font": "not read",
        "image": "only the texts in it; look at them yourself",
        "unknown": "not read",
        "empty": "",
    }
    return Table(
        "The files by format. Files within archives are counted too.",
        ("Format", "Files", "Size", "Remark"),
        [
            [Cell(name), Cell(words.count(count)), Cell(_bytes(sizes[name])), Cell(remarks.get(name, "read"))]
            for name, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        ],
    )


def _unread(content: InspectionContent) -> Table | None:
    rows = [[Cell(file.file), Cell(file.unread)] for file in content.files if file.unread]
    if not rows:
        return None
    more = f" The first {_MOST_ROWS} are shown." if len(rows) > _MOST_ROWS else ""
    caption = f"Files that were not read, or not wholly; nothing is known of what was left out.{more}"
    return Table(caption, ("File", "Why"), rows[:_MOST_ROWS])


def _bytes(size: int) -> str:
    """Return a size in bytes, KB, MB or GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return words.people(size, "byte")
