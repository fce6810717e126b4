"""Derive the content of a dossier from its inputs and its declaration, and from nothing else."""

from __future__ import annotations

from memberscan import __version__
from memberscan.dossier.content import DOSSIER_SCHEMA, Declared, DossierContent, OtherContext
from memberscan.dossier.contexts import CONTEXTS, ReleaseContext, declared_context
from memberscan.dossier.deciding import decide, outcome_of, unanswered
from memberscan.dossier.declaration import Declaration
from memberscan.dossier.frameworks import frameworks_of
from memberscan.dossier.known import Known
from memberscan.dossier.limits import limits_of
from memberscan.dossier.sources import Sources
from memberscan.report import words
from memberscan.report.validation import agreeing


@agreeing
def derive(sources: Sources, declaration: Declaration) -> DossierContent:
    """Return the content of dossier.json; the same inputs and declaration give the same content.

    Nothing is measured and nothing is judged anew: verdicts, bounds and intervals are those of the inputs.

    Raises
    ------
    AuditFileError
        If values of an input contradict each other.
    """
    context = declared_context(declaration.context)
    known = Known.of(context, sources)
    others = tuple(_other(each, sources) for each in CONTEXTS.values() if each.name != context.name)
    return DossierContent(
        schema=DOSSIER_SCHEMA,
        memberscan=__version__,
        declared=_declared(context, declaration),
        model=_model(sources),
        predicts=next((audit.content.target.variable.name for audit in sources.audits), None),
        synthetic=_synthetic(sources),
        people=_people(sources),
        decision=decide(context, known, others),
        other_contexts=others,
        attackers=tuple(known.attackers),
        coverage=tuple(known.coverage),
        files=known.files,
        measures=tuple(known.measures),
        alternatives=tuple(known.alternatives),
        controls=tuple(known.controls),
        frameworks=tuple(frameworks_of(known)),
        limits=tuple(limits_of(sources)),
        inputs=tuple(given.described for given in sources.given),
    )


def _declared(context: ReleaseContext, declaration: Declaration) -> Declared:
    return Declared(
        context=context.name,
        meaning=context.meaning,
        name=declaration.name,
        note=declaration.note,
        date=declaration.date,
    )


def _other(context: ReleaseContext, sources: Sources) -> OtherContext:
    """Return what the same inputs say in a context that was not declared."""
    known = Known.of(context, sources)
    return OtherContext(
        context=context.name,
        outcome=outcome_of(known),
        succeeding=tuple(row.name for row in known.attackers if row.outcome == "leaks"),
        unanswered=tuple(row.name for row in known.attackers if unanswered(row)),
    )


def _model(sources: Sources) -> str:
    """Return the name of the model: that of the audits, or of joined audits."""
    names = [audit.content.target.model for audit in sources.audits]
    names += [entry.model for _, content in sources.consortia for entry in content.entries]
    return words.listed(list(dict.fromkeys(names)))


def _synthetic(sources: Sources) -> bool:
    joined = [audit for _, content in sources.consortia for audit in content.audits]
    return any(audit.content.target.synthetic for audit in sources.audits) or any(a.synthetic for a in joined)


def _people(sources: Sources) -> str:
    """Return who was trained on and who was compared, in words; of several audits each count once."""
    targets = [audit.content.target for audit in sources.audits]
    counts = [(target.members, target.nonmembers) for target in targets]
    counts += [
        (audit.members, audit.nonmembers) for _, content in sources.consortia for audit in content.audits
    ]
    said = [
        f"{words.people(members, 'person', 'people')} trained on, compared with "
        f"{words.people(nonmembers, 'person', 'people')}"
        for members, nonmembers in dict.fromkeys(counts)
    ]
    return "; ".join(said)
