"""What the audits say of each attacker that a context implies: the gravest of the verdicts that apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.dossier.content import (
    AttackerRow,
    Average,
    ExposedGroupFound,
    ExposedPeopleFound,
    Files,
    Source,
)
from memberscan.dossier.contexts import Implied
from memberscan.dossier.sources import Audited, Given, Sources
from memberscan.report import AuditContent, ConsortiumContent, ranking
from memberscan.report.content.consortium_json import Entry
from memberscan.report.content.finding_json import Finding
from memberscan.report.content.parts import Estimate, Label
from memberscan.report.sections.summary import outside_attacker, party_attacker
from memberscan.signals import Signal
from memberscan.signals.reference_models import REFERENCE_MEMBERS
from memberscan.signals.round_predictions import ROUND_PREDICTIONS

GRAVEST: tuple[Label, ...] = ("leaks", "confounded", "inconclusive", "no leak shown")
_EMPTY = {"smallest_detectable_auc": None, "average": None, "group": None, "person": None}


@dataclass(frozen=True)
class Judged:
    """What one audit says of one attacker; ``direct`` is False where the audit's attacker can do less."""

    row: AttackerRow
    direct: bool

    @property
    def gravity(self) -> tuple[int, int, float]:
        """Sort by this: the gravest first, then what is about this very attacker, then the largest AUC."""
        label = GRAVEST.index(self.row.outcome) if self.row.outcome else len(GRAVEST)
        return label, not self.direct, -(self.row.average.auc.value if self.row.average else 0.0)


def attacker_rows(implied: Sequence[Implied], sources: Sources, files: Files | None) -> list[AttackerRow]:
    """Return one row for each attacker that a context implies."""
    rows = [_of_files(each, files) if each.sees == "files" else _row(each, sources) for each in implied]
    return [
        row
        for each, row in zip(implied, rows, strict=True)
        if row.state != "not audited" or not each.if_audited
    ]


def _row(implied: Implied, sources: Sources) -> AttackerRow:
    found = [judged for audit in sources.audits if (judged := _of_audit(implied, audit)) is not None]
    for given, content in sources.consortia:
        found += _of_consortium(implied, given, content)
    if not found:
        return _stated(implied, state="not audited", outcome=None, reason=implied.how, **_EMPTY)
    gravest = min(found, key=lambda judged: judged.gravity)
    every = tuple(source for judged in found for source in judged.row.audits)
    # What is known of single groups and people is kept, whichever of the audits says it.
    known = sorted((judged for judged in found if judged.direct), key=lambda judged: judged.gravity)
    kept = {
        part: getattr(gravest.row, part) or next((v for j in known if (v := getattr(j.row, part))), None)
        for part in ("group", "person")
    }
    return gravest.row.model_copy(update={"audits": every, **kept})


def _of_files(implied: Implied, files: Files | None) -> AttackerRow:
    """Return what an attacker finds who only opens the files."""
    if files is None:
        return _stated(implied, state="not audited", outcome=None, reason=implied.how, **_EMPTY)
    reason = f"Files read: {files.read}; {files.verdict}."
    return _stated(
        implied, state="audited", outcome=files.outcome, reason=reason, **_EMPTY, audits=(files.source,)
    )


def _stated(implied: Implied, **found: object) -> AttackerRow:
    fields = {"resources": (), "audits": (), **found}
    return AttackerRow.model_validate(
        {
            "name": implied.name,
            "sees": implied.sees,
            "references": implied.references,
            "means": implied.means,
            **fields,
        }
    )


def _of_audit(implied: Implied, audit: Audited) -> Judged | None:
    """Return what an audit says of an attacker, or None where it is about another one."""
    content = audit.content
    if content.threat.attacker != implied.who:
        return None
    if _hidden(content):
        return Judged(_sees_nothing(implied, audit.at("federation.visible_to_server")), True)
    usable = [finding for finding in ranking.ranked(content) if can_use(implied, finding)]
    outcome, reason = _outcome(content, usable)
    if outcome == "no leak shown" and (why := not_all_tried(implied, content, usable)):
        outcome, reason = "inconclusive", why
    direct = _can_do(content, implied)
    if not direct and outcome != "leaks":
        return None
    if not direct:
        reason = f"An attacker who can do less already succeeds. {reason}"
    best = usable[0] if usable else None
    row = _stated(
        implied,
        state="audited",
        outcome=outcome,
        reason=reason,
        resources=tuple(_resources(content)),
        smallest_detectable_auc=content.verdict.smallest_detectable_auc,
        average=_average(audit, best) if best else None,
        group=_group(audit, implied, usable),
        person=_person(audit) if implied.references else None,
        audits=(audit.at("verdict.label"),),
    )
    return Judged(row, direct)


def _sees_nothing(implied: Implied, source: Source) -> AttackerRow:
    reason = "All that it receives is encrypted, so that there is nothing to attack."
    return _stated(implied, state="sees nothing", outcome=None, reason=reason, **_EMPTY, audits=(source,))


def _hidden(audit: AuditContent) -> bool:
    federation = audit.federation
    server = audit.threat.attacker in ("server", "active-server")
    return server and federation is not None and not federation.visible_to_server


def _can_do(audit: AuditContent, implied: Implied) -> bool:
    """Return whether the audit's attacker sees all that the implied one does, and trained references too."""
    enough = implied.sees != "weights" or audit.threat.access == "weights"
    # Whoever has the model itself gets its answers before a service changes them.
    changed = audit.target.answers is not None and audit.threat.access == "outputs"
    if changed and not implied.service:
        return False
    return enough and (_trained_references(audit) or not implied.references)


def _trained_references(audit: AuditContent) -> bool:
    return bool(audit.threat.references) or audit.person_exposure is not None


def can_use(implied: Implied, finding: Finding) -> bool:
    """Return whether an attacker has what an attack of an audit reads."""
    if implied.sees == "outputs" and finding.access != "outputs":
        return False
    if implied.who == "outsider" and _reads(finding.attack, ROUND_PREDICTIONS):
        # What is released is the finished model, and not the checkpoints.
        return False
    return implied.references or not _with_references(finding.attack)


def _with_references(attack: str) -> bool:
    """Return whether an attack compares with reference models."""
    return _reads(attack, REFERENCE_MEMBERS)


def _reads(attack: str, signal: Signal) -> bool:
    """Return whether an attack reads a signal; one of a plug-in is not known to."""
    from memberscan.attacks import REGISTRY

    return attack in REGISTRY and signal in REGISTRY[attack].reads


def not_all_tried(implied: Implied, audit: AuditContent, usable: Sequence[Finding]) -> str | None:
    """Return why an audit that shows no leak is no answer about an attacker, or None if it is one.

    An audit may be of an attacker and still try less than that attacker can do: a few attacks, or a few
    rounds.
    """
    if implied.sees == "weights" and not any(finding.access == "weights" for finding in usable):
        return "No attack that reads the weights was run; run all attacks of this attacker."
    if implied.references and not any(_with_references(finding.attack) for finding in usable):
        return "No attack with reference models was run; run all attacks of this attacker."
    if implied.who != "outsider" and audit.threat.rounds is not None:
        return f"The audit looked at {audit.threat.rounds} rounds only, and this attacker sees all."
    return None


def _outcome(audit: AuditContent, usable: Sequence[Finding]) -> tuple[Label, str]:
    """Return the verdict for an attacker who has these attacks only, and why."""
    if not usable:
        return "inconclusive", "No attack of this attacker could be run."
    verdict, shown = audit.verdict, ranking.basis(audit).shown
    if verdict.label != "leaks" or len(usable) == len(audit.findings):
        return verdict.label, verdict.sentence
    if own := [finding for finding in usable if finding.attack in shown]:
        # The bound holds for all attacks of the audit together, and so for these.
        return (
            "leaks",
            f"{own[0].attack} tells members from non-members, all attacks of the audit considered.",
        )
    reason = (
        "This audit shows a leak, but only by attacks that need more than this attacker has. Audit again "
        "with the attacks of this attacker alone."
    )
    return "inconclusive", reason


def _resources(audit: AuditContent) -> list[str]:
    federation, variable = audit.federation, audit.target.variable
    if federation is not None and ranking.of_a_party(audit):
        return party_attacker(federation, audit.threat, variable)
    return outside_attacker(audit.threat, variable)


def _average(audit: Audited, finding: Finding) -> Average:
    content = audit.content
    place = f"findings[{content.findings.index(finding)}]"
    auc = ranking.judged_auc(content, finding)
    rates = [rate for rate in finding.tpr if None not in (rate.value, rate.low, rate.high)]
    rate = min(rates, key=lambda rate: rate.fpr, default=None)
    return Average(
        attack=finding.attack,
        auc=Estimate(value=auc.value, low=auc.low, high=auc.high),
        bound=auc.simultaneous.low,
        fpr=rate.fpr if rate else None,
        tpr=Estimate.model_validate({"value": rate.value, "low": rate.low, "high": rate.high})
        if rate
        else None,
        source=audit.at(f"{place}.within_strata" if ranking.within_strata(content) else place, place),
    )


def _group(audit: Audited, implied: Implied, usable: Sequence[Finding]) -> ExposedGroupFound | None:
    """Return the most exposed group: by reference models for those who train some, else by the attack."""
    content = audit.content
    if implied.references and content.person_exposure is not None:
        by_references = [
            (group.auc.value, k, group) for k, group in enumerate(content.person_exposure.groups) if group.auc
        ]
        if by_references:
            _, k, group = max(by_references, key=lambda each: each[:2])
            assert group.auc is not None
            return ExposedGroupFound(
                by=group.by, group=group.group, attack="reference models", auc=group.auc,
                source=audit.at(f"person_exposure.groups[{k}]"),
            )  # fmt: skip
    attack = content.exposure.attack
    if attack not in {finding.attack for finding in usable}:
        return None
    known = [(group.auc.value, k, group) for k, group in enumerate(content.exposure.groups) if group.auc]
    if not known:
        return None
    _, k, found = max(known, key=lambda each: each[:2])
    assert found.auc is not None and attack is not None
    source = audit.at(f"exposure.groups[{k}]")
    return ExposedGroupFound(by=found.by, group=found.group, attack=attack, auc=found.auc, source=source)


def _person(audit: Audited) -> ExposedPeopleFound | None:
    exposure = audit.content.person_exposure
    if exposure is None or exposure.most_exposed.auc is None or exposure.most_exposed.people is None:
        return None
    most = exposure.most_exposed
    source = audit.at("person_exposure.most_exposed")
    return ExposedPeopleFound.model_validate(
        {"people": most.people, "auc": most.auc, "tpr": most.tpr, "source": source}
    )


def _of_consortium(implied: Implied, given: Given, content: ConsortiumContent) -> list[Judged]:
    """Return what joined audits say of a party; of outsiders they do not say what these see."""
    if implied.who == "outsider":
        return []
    labels = {audit.name: audit for audit in content.audits}
    found = []
    for k, entry in enumerate(content.entries):
        if entry.attacker == implied.who:
            audits = [labels[name] for name in entry.audits if name in labels]
            verdicts: list[Label] = [audit.verdict for audit in audits] or ["inconclusive"]
            label = min(verdicts, key=GRAVEST.index)
            detectable = max((audit.smallest_detectable_auc for audit in audits), default=None)
            found.append(Judged(_joined(implied, given, k, entry, label, detectable), True))
    return found


def _joined(
    implied: Implied, given: Given, k: int, entry: Entry, label: Label, detectable: float | None
) -> AttackerRow:
    audits = (given.at(f"entries[{k}]"),)
    if implied.sees == "updates" and not entry.visible_to_server:
        return _sees_nothing(implied, audits[0])
    best = entry.findings[0] if entry.findings else None
    average = best and Average(
        attack=best.attack, auc=best.auc, bound=None, fpr=None, tpr=None,
        source=given.at(f"entries[{k}].findings[0]"),
    )  # fmt: skip
    return _stated(
        implied,
        state="audited",
        outcome=label,
        reason=f"The gravest verdict of the audits of {entry.name}, which were joined.",
        smallest_detectable_auc=detectable,
        average=average,
        group=None,
        person=None,
        audits=audits,
    )
