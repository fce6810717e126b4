"""The page of a dossier, for the screen and for paper; it shows dossier.json and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.dossier.content import (
    AttackerRow,
    Average,
    DossierContent,
    ExposedGroupFound,
    ExposedPeopleFound,
    Files,
    Source,
)
from memberscan.report import words
from memberscan.report.content.parts import Estimate
from memberscan.report.pages import Link, environment, page_of
from memberscan.report.table_cells import Cell, Table

_ENVIRONMENT = environment("memberscan.dossier")

_CONTENTS = (
    Link("attackers", "Attackers of this context"),
    Link("coverage", "Classes of attack"),
    Link("files", "Files of the release"),
    Link("measures", "Measures"),
    Link("controls", "Controls"),
    Link("documentation", "Documentation"),
    Link("limits", "Limits"),
    Link("terms", "What the words mean"),
    Link("record", "Record of the decision"),
    Link("integrity", "Files and their digests"),
)
_TONES = {"leak found": "leaks", "evidence is missing": "inconclusive", "no leak shown": ""}
OUTCOMES = {
    "leak found": "A leak was found",
    "evidence is missing": "Evidence is missing",
    "no leak shown": "No leak was shown",
}
_MOST_FILES = 60
"""Most files of a release on the page."""
NOBODY = Cell("not measured", "needs enough reference models")


@dataclass(frozen=True)
class Shown:
    """What the templates show."""

    content: DossierContent
    outcome: str
    others: Table
    attackers: Table
    coverage: Table
    files: Table | None
    released: Table | None
    measures: Table | None
    alternatives: Table | None
    controls: Table
    inputs: Table
    digest: str


def render(content: DossierContent, digest: str) -> str:
    """Return the page; the same content gives the same bytes. It needs no network and no JavaScript.

    Parameters
    ----------
    content
        The content of dossier.json.
    digest
        SHA-256 of dossier.json.
    """
    called = content.declared.name or content.model
    return page_of(
        _ENVIRONMENT,
        shown_of(content, digest),
        "header",
        _CONTENTS,
        title=f"Dossier for the release of {called}",
        version=content.memberscan,
        tone=_TONES[content.decision.outcome],
        styles=["templates/dossier.css"],
    )


def shown_of(content: DossierContent, digest: str) -> Shown:
    """Return what the page shows."""
    return Shown(
        content=content,
        outcome=OUTCOMES[content.decision.outcome],
        others=_others(content),
        attackers=_attackers(content.attackers),
        coverage=_coverage(content),
        files=_files(content.files),
        released=_released(content.files),
        measures=_measures(content),
        alternatives=_alternatives(content),
        controls=_controls(content),
        inputs=_inputs(content),
        digest=digest,
    )


def place(source: Source) -> str:
    """Return a source as it is written: "01-audit.json, target.members"."""
    file = source.file.removeprefix("inputs/")
    return f"{file}, {source.key}" if source.key else file


def _others(content: DossierContent) -> Table:
    rows = [
        [
            Cell(each.context),
            Cell(OUTCOMES[each.outcome]),
            Cell(words.listed(each.succeeding) if each.succeeding else "none was shown to"),
            Cell(words.listed(each.unanswered) if each.unanswered else "none"),
        ]
        for each in content.other_contexts
    ]
    caption = "What the same inputs would say if another context were declared."
    return Table(caption, ("Context", "Outcome", "Attackers who succeed", "Without an answer"), rows)


def _attackers(rows: Sequence[AttackerRow]) -> Table:
    caption = (
        "Each attacker whom the declared context implies. An AUC of 0.50 is chance; the interval is 95%. “At "
        "least” is the lower bound that the verdict rests on."
    )
    columns = ("Attacker", "Outcome", "Most exposed people", "Most exposed group", "Everybody")
    return Table(caption, columns, [_attacker(row) for row in rows])


def _attacker(row: AttackerRow) -> list[Cell]:
    name = Cell(f"{row.name[0].upper()}{row.name[1:]}", f"sees {row.sees}")
    if row.state != "audited":
        blank = Cell("–")
        return [name, Cell(row.state), blank, blank, blank]
    outcome = Cell(words.LABELS[row.outcome] if row.outcome else "–", _detectable(row))
    if row.sees == "files":
        return [name, outcome, Cell("–"), Cell("–"), Cell("see below")]
    return [name, outcome, _person(row.person), _group(row.group), _average(row.average)]


def _detectable(row: AttackerRow) -> str:
    if row.smallest_detectable_auc is None:
        return ""
    return f"could see an AUC of {words.detectable(row.smallest_detectable_auc)}"


def _auc(found: Estimate) -> str:
    return f"{words.fraction(found.value)} ({words.span(found)})"


def _person(found: ExposedPeopleFound | None) -> Cell:
    if found is None:
        return NOBODY
    return Cell(f"AUC {_auc(found.auc)}", f"mean of the {words.count(found.people)} most exposed")


def _group(found: ExposedGroupFound | None) -> Cell:
    if found is None:
        return Cell("not measured", "groups are too small, or were not compared")
    return Cell(f"AUC {_auc(found.auc)}", f"{found.by}: {found.group}, by {found.attack}")


def _average(found: Average | None) -> Cell:
    if found is None:
        return Cell("no attack ran")
    said = [found.attack]
    if found.bound is not None:
        said.append(f"at least {words.at_least(found.bound)}")
    if found.fpr is not None and found.tpr is not None:
        said.append(f"{words.percent(found.tpr.value)} found at {words.percent(found.fpr)} false alarms")
    return Cell(f"AUC {_auc(found.auc)}", "; ".join(said))


def _coverage(content: DossierContent) -> Table:
    caption = (
        "Scope says whether a class of attack applies to this model; execution whether it was run. Of a "
        "class that is in scope and was not run, nothing is known."
    )
    rows = [
        [Cell(row.name, row.what), Cell(row.scope, row.scope_reason), Cell(row.execution, row.result)]
        for row in content.coverage
    ]
    return Table(caption, ("Class of attack", "Scope", "Execution"), rows)


def _files(files: Files | None) -> Table | None:
    if files is None or not files.findings:
        return None
    rows = [
        [
            Cell(found.kind, found.file),
            Cell(found.grade),
            Cell(words.count(found.people) if found.people is not None else "not known"),
            Cell(found.text, found.mend),
        ]
        for found in files.findings
    ]
    caption = "What was found in the files, the gravest first. Ids are counted and not shown."
    return Table(caption, ("What", "Grade", "People", "Found, and what to do"), rows)


def _released(files: Files | None) -> Table | None:
    if files is None or not files.released:
        return None
    rows = [[Cell(each.file, f"{each.size:,} bytes"), Cell(each.sha256)] for each in files.released]
    caption = "The files that were inspected. Release these, byte for byte, or inspect again."
    if len(rows) > _MOST_FILES:
        rows = rows[:_MOST_FILES]
        caption += f" The first {_MOST_FILES} of {len(files.released):,}; dossier.json has all."
    return Table(caption, ("File", "SHA-256"), rows)


def _measures(content: DossierContent) -> Table | None:
    rows = [
        [
            Cell(each.what, each.stage),
            Cell(each.statement or "nothing"),
            Cell(each.enforced_by),
            Cell(each.read_back, place(each.source)),
        ]
        for each in content.measures
    ]
    caption = "What protects people, what it guarantees by itself, and who must be trusted for it."
    return Table(caption, ("Measure", "Guarantees", "Enforced by", "Read back"), rows) if rows else None


def _alternatives(content: DossierContent) -> Table | None:
    rows = [
        [
            Cell(each.name),
            Cell(
                f"{each.error.value:.4g} {each.unit}".rstrip(), words.span(each.error, lambda v: f"{v:.4g}")
            ),
            Cell(words.fraction(each.auc.value), words.span(each.auc)),
            Cell(each.enforced_by or "no guarantee"),
        ]
        for each in content.alternatives
    ]
    caption = (
        "Recipes on the measured frontier: no other one has less error and less leakage in these estimates. "
        "They are other models than the one to be released, which may not be among them."
    )
    return Table(caption, ("Recipe", "Error", "AUC", "Enforced by"), rows) if rows else None


def _controls(content: DossierContent) -> Table:
    rows = [
        [Cell(row.name), Cell(row.state), Cell(row.result, place(row.source) if row.source else "")]
        for row in content.controls
    ]
    caption = "Checks on the audits themselves. One that is not as expected puts that audit in doubt."
    return Table(caption, ("Control", "State", "Result"), rows)


def _inputs(content: DossierContent) -> Table:
    rows = [
        [Cell(each.file, each.about), Cell(each.sha256, f"{each.size:,} bytes")] for each in content.inputs
    ]
    return Table("The files that this dossier was made from.", ("File", "SHA-256"), rows)


_ENVIRONMENT.globals["place"] = place
