"""The attacks of an audit in the order of its verdict; nothing here decides that order."""

from __future__ import annotations

import math

from memberscan.errors import AuditFileError
from memberscan.evidence.power import SMALL
from memberscan.evidence.verdict import SIGNIFICANCE
from memberscan.report.content.audit_json import AuditContent, Basis, Rule
from memberscan.report.content.finding_json import Finding
from memberscan.report.content.parts import Auc


def basis(audit: AuditContent) -> Basis:
    """Return what the verdict rests on."""
    return audit.verdict.basis or _of_an_early_version(audit)


def ranked(audit: AuditContent) -> list[Finding]:
    """Return the findings, the strongest first.

    Raises
    ------
    AuditFileError
        If the ranking does not name the attacks that were found.
    """
    findings = {finding.attack: finding for finding in audit.findings}
    ranking = basis(audit).ranking
    if sorted(findings) != sorted(ranking):
        raise AuditFileError(
            "audit.json.verdict.basis.ranking does not name each attack of audit.json.findings once; "
            "the file was edited: run the audit again"
        )
    return [findings[name] for name in ranking]


def strongest(audit: AuditContent) -> Finding | None:
    """Return the strongest finding, or None if no attack ran."""
    return next(iter(ranked(audit)), None)


def runner_up(audit: AuditContent) -> Finding | None:
    """Return the strongest finding with another access than the strongest one, or None."""
    first = strongest(audit)
    return next((f for f in ranked(audit) if first and f.access != first.access), None)


def within_strata(audit: AuditContent) -> bool:
    """Tell whether attacks are judged among people who are alike, since the sides differ."""
    return basis(audit).rule == "within strata"


def judged_auc(audit: AuditContent, finding: Finding) -> Auc:
    """Return the AUC that the verdict rests on: within strata where the sides differ without the model."""
    strata = finding.within_strata
    return strata.auc if strata and within_strata(audit) else finding.auc


def sides_differ(audit: AuditContent) -> bool:
    """Tell whether the sides differ without the model in a way that cannot be chance."""
    return audit.checks.blind.tripped and audit.checks.blind.gates


def of_a_party(audit: AuditContent) -> bool:
    """Tell whether the attacker is a party of a federation, and not an outsider."""
    return audit.federation is not None and audit.federation.attacker != "outsider"


def _of_an_early_version(audit: AuditContent) -> Basis:
    """Return the basis of the verdict of an early audit that does not state it, by the rule of that time."""
    findings = audit.findings
    scored = [n for f in findings for n in (f.scored.members, f.scored.nonmembers) if n is not None]
    if sides_differ(audit):
        rule: Rule = "within strata" if any(f.within_strata for f in findings) else "none"
    else:
        rule = "permutation" if min(scored, default=SMALL) < SMALL else "simultaneous bound"

    def auc(finding: Finding) -> Auc:
        return finding.within_strata.auc if rule == "within strata" and finding.within_strata else finding.auc

    def strength(finding: Finding) -> tuple[float, float, bool]:
        p = 1.0 if finding.p_value is None else finding.p_value
        first = -math.log(p) if rule == "permutation" and p > 0 else auc(finding).simultaneous.low
        # Rounded numbers may be equal; then the attack of the exposure comes first, which was the strongest.
        return first, auc(finding).value, finding.attack == audit.exposure.attack

    def shown(finding: Finding) -> bool:
        if rule == "permutation":
            return finding.p_value is not None and finding.p_value < SIGNIFICANCE
        return rule != "none" and auc(finding).simultaneous.low > 0.5

    order = sorted(findings, key=strength, reverse=True)
    best = next(iter(order), None)
    bounds = rule in ("simultaneous bound", "within strata")
    return Basis(
        rule=rule if best else "none",
        attack=best.attack if best else None,
        bound=auc(best).simultaneous.low if best and bounds else None,
        p_value=best.p_value if best and rule == "permutation" else None,
        ranking=tuple(f.attack for f in order),
        shown=tuple(f.attack for f in order if shown(f)),
    )
