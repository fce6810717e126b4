"""Classes of attack, as EDPB Opinion 28/2024 (paragraph 55) names them: in scope or not, run or not run."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.dossier.content import AttackerRow, Context, CoverageRow, Files
from memberscan.dossier.sources import Audited, Sources
from memberscan.report import words

_ELSEWHERE = (
    "Not run: memberscan has no such attack. Have it tested elsewhere, or state why the risk is accepted."
)


def coverage_rows(
    context: Context, sources: Sources, attackers: Sequence[AttackerRow], files: Files | None
) -> list[CoverageRow]:
    """Return every class of attack, with what the inputs say of it."""
    federated = context == "federation" or any(audit.content.federation for audit in sources.audits)
    rows = [
        _membership(attackers),
        _attribute(),
        _inversion(),
        _reconstruction(federated),
        _regurgitation(sources),
        _exfiltration(context, files),
    ]
    if federated:
        rows.insert(1, _source_inference(sources.audits))
    return rows


def _membership(attackers: Sequence[AttackerRow]) -> CoverageRow:
    run = [row for row in attackers if row.state == "audited" and row.average]
    missing = [row.name for row in attackers if row.state == "not audited" and row.sees != "files"]
    result = "; ".join(f"{row.name}: {words.LABELS[row.outcome].lower()}" for row in run if row.outcome)
    if missing:
        result = f"{result}{'; ' if result else ''}not run for {words.listed(missing)}"
    return CoverageRow(
        name="Membership inference",
        what="Telling whether a person was in the training set.",
        scope="in scope",
        scope_reason="Being in a training set of patients says something of a person's health.",
        execution="run" if run else "not run",
        result=f"{result}.",
        sources=tuple(source for row in run for source in row.audits),
    )


def _source_inference(audits: Sequence[Audited]) -> CoverageRow:
    run = [audit for audit in audits if audit.content.federation and audit.content.federation.sources]
    said = []
    for audit in run:
        assert audit.content.federation is not None and audit.content.federation.sources is not None
        found = audit.content.federation.sources
        accuracy = f"{words.percent(found.accuracy.value)} ({words.span(found.accuracy, words.percent)})"
        said.append(f"right for {accuracy} of the people, by a guess {words.percent(found.chance)}")
    return CoverageRow(
        name="Source inference",
        what="Telling which site holds a person who was trained on.",
        scope="in scope",
        scope_reason="Several sites train together; which clinic treated a person is data about its health.",
        execution="run" if run else "not run",
        result=f"{'; '.join(said)}." if run else "Not run: it is part of memberscan audit --attacker server.",
        sources=tuple(audit.at("federation.sources") for audit in run),
    )


def _attribute() -> CoverageRow:
    return CoverageRow(
        name="Attribute inference",
        what="Inferring a fact about a person, such as sex or a diagnosis, from the model.",
        scope="in scope",
        scope_reason="Scans and the values that are predicted from them are data about health.",
        execution="not run",
        result=_ELSEWHERE,
        sources=(),
    )


def _inversion() -> CoverageRow:
    return CoverageRow(
        name="Model inversion",
        what="Making an input, such as a typical scan of a group, from the model's answers or weights.",
        scope="in scope",
        scope_reason="The model maps scans to values, and can be searched for the scans that fit a value.",
        execution="not run",
        result=_ELSEWHERE,
        sources=(),
    )


def _reconstruction(federated: bool) -> CoverageRow:
    reason = (
        "What learners send in a federation is known to let scans be rebuilt where batches are small."
        if federated
        else "Weights were computed from the scans of the people in the training set."
    )
    return CoverageRow(
        name="Reconstruction",
        what="Rebuilding the scan of one person of the training set, or a part of it.",
        scope="in scope",
        scope_reason=reason,
        execution="not run",
        result=_ELSEWHERE,
        sources=(),
    )


def _regurgitation(sources: Sources) -> CoverageRow:
    first = next(iter(sources.audits), None)
    reason = "What the model answers is not known from joined audits."
    if first is not None:
        variable = first.content.target.variable
        answer = f"one of {len(variable.classes)} classes" if variable.classes else "one number"
        reason = (
            f"The model answers {answer} ({variable.name}) for a scan, so that an answer cannot hold a scan. "
            "An answer can be the exact value of a member, which membership inference tests."
        )
    return CoverageRow(
        name="Regurgitation of training data",
        what="Answers that repeat data of the training set.",
        scope="limited",
        scope_reason=reason,
        execution="not run",
        result="Not run as an attack of its own.",
        sources=(first.at("target.variable", "target.model"),) if first else (),
    )


def _exfiltration(context: Context, files: Files | None) -> CoverageRow:
    reason = "The files are passed on, and whoever has them can look for people in them."
    if context == "api":
        reason = "The files stay inside in this context. It matters if they get out."
    if context == "internal":
        reason = "Staff have the files."
    result = "Not run: memberscan inspect RELEASE --out DIR, then --inspect DIR."
    if files is not None:
        result = f"Files read: {files.read}, not or not wholly read: {files.unread}; {files.verdict}."
    return CoverageRow(
        name="Exfiltration of files",
        what="Finding data about people in the files of the release, without any attack on the model.",
        scope="limited" if context == "api" else "in scope",
        scope_reason=reason,
        execution="run" if files is not None else "not run",
        result=result,
        sources=(files.source,) if files is not None else (),
    )
