"""What the guarantee of a training allows an attack, and whether attacks or canaries go beyond it."""

from __future__ import annotations

from memberscan.evidence.privacy_region import largest_tpr
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.canaries_json import Canaries
from memberscan.report.content.finding_json import Finding
from memberscan.report.content.guarantee_json import Guarantee


def private(audit: AuditContent) -> Guarantee | None:
    """Return the guarantee if it is one of differential privacy for people; else None."""
    found = audit.target.guarantee
    return None if found is None or found.epsilon is None or found.delta is None else found


def allowed(limit: Guarantee, fpr: float) -> float:
    """Return the largest true-positive rate that the guarantee allows at a false-positive rate."""
    return float(largest_tpr(fpr, limit.epsilon or 0.0, limit.delta or 0.0))


def compared_rates(audit: AuditContent) -> int:
    """Return how many rates of attacks can be compared with the guarantee."""
    return sum(rate.low is not None for finding in audit.findings for rate in finding.tpr)


def beyond(audit: AuditContent) -> bool:
    """Return whether the interval of a rate of any attack lies above what the guarantee allows."""
    limit = private(audit)
    return limit is not None and any(_exceeds(limit, finding) for finding in audit.findings)


def _exceeds(limit: Guarantee, finding: Finding) -> bool:
    return any(rate.low is not None and rate.low > allowed(limit, rate.fpr) for rate in finding.tpr)


def can_break(planted: Canaries, limit: Guarantee) -> bool:
    """Return whether a bound would have been above the guarantee if all guesses had been right."""
    return any(each.ceiling > (limit.epsilon or 0.0) for each in planted.bounds)


def only_if_independent(planted: Canaries) -> bool:
    """Return whether the guarantee is broken only if canaries do not influence each other."""
    found = {each.method for each in planted.bounds if each.broken}
    return bool(found) and found <= {"Gaussian", "Gaussian, AUC"}


def in_words(audit: AuditContent) -> tuple[str, bool] | None:
    """Return in a sentence what canaries show of epsilon, and whether it is a warning; None without canaries.

    It is the sentence of the terminal; the page says it with all bounds.
    """
    planted, limit = audit.canaries, private(audit)
    if planted is None:
        return None
    if planted.broken:
        shown = max(each.epsilon for each in planted.bounds if each.broken)
        found = f"canaries show an epsilon of at least {shown:.4g}, and the training states {limit_of(limit)}"
        if only_if_independent(planted):
            return f"The guarantee may be broken: {found}. That holds if canaries are independent.", True
        return f"The guarantee is broken: {found}.", True
    shown = max((each.epsilon for each in planted.bounds), default=0.0)
    if limit is None:
        at = f"at delta {planted.delta:g}"
        return f"Canaries show an epsilon of at least {shown:.4g} {at}; the training states none.", False
    if not can_break(planted, limit):
        return f"Too few canaries: they could not contradict epsilon {limit_of(limit)}.", True
    return f"Canaries do not contradict epsilon {limit_of(limit)}, which is no proof of it.", False


def limit_of(limit: Guarantee | None) -> str:
    """Return the stated epsilon as it is written everywhere; "none" without one."""
    return "none" if limit is None or limit.epsilon is None else f"{limit.epsilon:.4g}"
