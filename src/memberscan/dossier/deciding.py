"""The aid for the decision: what was found in the declared context, and what is missing for it."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.dossier.content import (
    AttackerRow,
    ControlRow,
    CoverageRow,
    Decision,
    Fact,
    Measure,
    OtherContext,
    Outcome,
)
from memberscan.dossier.contexts import Implied, ReleaseContext
from memberscan.dossier.known import Known
from memberscan.dossier.measures import NOT_STATED
from memberscan.dossier.options import options_of
from memberscan.dossier.sources import Audited
from memberscan.report import words


def decide(context: ReleaseContext, known: Known, others: Sequence[OtherContext]) -> Decision:
    """Return what was found, what is missing, and one of three outcomes; none of them is an all-clear.

    Parameters
    ----------
    context, known
        The declared context, and what is known for it.
    others
        What the same inputs say in the other contexts.
    """
    outcome = outcome_of(known)
    sentence = {
        "leak found": lambda: _leak([row for row in known.attackers if row.outcome == "leaks"]),
        "evidence is missing": lambda: _incomplete(context, known.attackers),
        "no leak shown": lambda: _nothing_shown(context),
    }[outcome]()
    return Decision(
        outcome=outcome,
        sentence=sentence,
        found=tuple(fact for row in known.attackers if (fact := _found(row)) is not None),
        # Classes of attack that nobody ran are missing in every context, but other people can run them.
        missing=(*_gaps(known), *_not_run(known.coverage)),
        options=options_of(outcome, known, others),
        beyond=tuple(_beyond(context.attackers, known.audits)),
    )


def outcome_of(known: Known) -> Outcome:
    """Return the outcome: a leak that is shown counts more than evidence that is missing."""
    if any(row.outcome == "leaks" for row in known.attackers):
        return "leak found"
    return "evidence is missing" if _gaps(known) else "no leak shown"


def _gaps(known: Known) -> list[str]:
    """Return what must be done before a decision can rest on this."""
    return [*_unanswered(known.attackers), *_doubts(known.controls), *_of_measures(known.measures)]


def unanswered(row: AttackerRow) -> bool:
    """Return whether an attacker was not audited, or not with a clear answer."""
    return row.state == "not audited" or row.outcome in ("inconclusive", "confounded")


def _leak(succeeding: Sequence[AttackerRow]) -> str:
    said = []
    if any(row.sees == "files" for row in succeeding):
        said.append("The files of the release hold data about people.")
    if who := [row.name for row in succeeding if row.sees != "files"]:
        said.append(
            f"In this context, people of the training set can be told from others by {words.listed(who)}."
        )
    return " ".join(said)


def _incomplete(context: ReleaseContext, attackers: Sequence[AttackerRow]) -> str:
    answered = sum(not unanswered(row) for row in attackers)
    return (
        f"No attacker of the context {context.name} was shown to succeed, but the evidence is not complete: "
        f"{answered} of {len(attackers)} attackers have an answer. What is missing is listed below."
    )


def _nothing_shown(context: ReleaseContext) -> str:
    return (
        f"Every attacker that memberscan knows for the context {context.name} was audited, and none was "
        "shown to succeed. This is not proof that the model is anonymous: smaller leaks, stronger attackers "
        "and other classes of attack remain."
    )


def _found(row: AttackerRow) -> Fact | None:
    """Return what was found for one attacker, as a sentence with its source."""
    if row.state == "not audited":
        return None
    label = words.LABELS[row.outcome] if row.outcome else "Sees nothing"
    said = f"{row.name[0].upper()}{row.name[1:]}: {label}."
    if row.sees == "files":
        said += f" {row.reason}"
    if row.average is not None:
        auc = row.average.auc
        said += f" {row.average.attack}, AUC {words.fraction(auc.value)} ({words.span(auc)})."
    return Fact(text=said, source=row.audits[0])


def _unanswered(attackers: Sequence[AttackerRow]) -> list[str]:
    """Return the attackers without an answer, and what to do."""
    said = []
    for row in attackers:
        if row.state == "not audited":
            said.append(f"{row.name} was not audited. Run {row.reason}.")
        elif row.outcome == "confounded":
            said.append(
                f"{row.name}: the audit is confounded, because members and non-members differ without the "
                "model. Audit with people who are alike, or drawn at random."
            )
        elif row.outcome == "inconclusive":
            said.append(f"{row.name}: inconclusive. {row.reason}")
    return [each[0].upper() + each[1:] for each in said]


def _doubts(controls: Sequence[ControlRow]) -> list[str]:
    """Return the controls that did not come out as they must, other than confounding, which audits judge."""
    return [
        f"{row.name}: not as expected. {row.result} Do not rely on that audit."
        for row in controls
        if row.state == "not as expected" and row.name != "Sides alike without the model"
    ]


def _of_measures(measures: Sequence[Measure]) -> list[str]:
    """Return what is wrong with guarantees: contradicted, or enforced by nobody who is named."""
    return [
        f"The guarantee of {each.what} is contradicted. {each.read_back} Do not rely on it."
        for each in measures
        if each.contradicted
    ] + [
        f"Who enforced {each.what} is not stated. A setting that a party could ignore is no guarantee."
        for each in measures
        if each.statement is not None and each.enforced_by == NOT_STATED
    ]


def _not_run(coverage: Sequence[CoverageRow]) -> list[str]:
    names = [
        row.name.lower()
        for row in coverage
        if row.execution == "not run" and row.scope == "in scope" and row.name != "Membership inference"
    ]
    if not names:
        return []
    return [f"Classes of attack that are in scope and were not run: {words.listed(names)}."]


def _beyond(implied: Sequence[Implied], audits: Sequence[Audited]) -> list[Fact]:
    """Return leaks to attackers whom the context does not imply."""
    return [
        Fact(
            text=f"If the context changes: an attacker ({content.threat.attacker}) who sees "
            f"{content.threat.access} succeeds. {content.verdict.sentence}",
            source=audit.at("verdict.sentence"),
        )
        for audit in audits
        if (content := audit.content).verdict.label == "leaks"
        and not any(_implies(each, audit) for each in implied)
    ]


def _implies(implied: Implied, audit: Audited) -> bool:
    threat = audit.content.threat
    return implied.who == threat.attacker and (
        implied.sees == "weights" or (implied.sees == threat.access == "outputs") or implied.who != "outsider"
    )
