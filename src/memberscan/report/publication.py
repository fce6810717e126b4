"""Turn the result of an audit into the content of audit.json, which says nothing about single people."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan.evidence import findings as evidence_findings
from memberscan.evidence.blind import Blind
from memberscan.evidence.estimates import SIMULTANEOUS_LEVEL, Estimates
from memberscan.evidence.gap import Gap, accuracy_of_ratio, auc_of_ratio
from memberscan.evidence.intervals import Interval
from memberscan.evidence.overlap import Overlap
from memberscan.evidence.permutation import NullCheck
from memberscan.evidence.prediction_scale import PredictionScale
from memberscan.evidence.rounding import FINEST, Measured, floored, two_decimals_up
from memberscan.evidence.sensitivity import least_hidden_difference
from memberscan.evidence.verdict import Basis
from memberscan.report import disclosure
from memberscan.report.content import audit_json, bounds_json, finding_json
from memberscan.report.content.audit_json import SCHEMA, AuditContent
from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.content.parts import Auc, Bound, Estimate, NotRun
from memberscan.report.exposure import exposure, residual_bands
from memberscan.report.outcome import AttackFacts, Outcome, ProvenanceFacts, TargetFacts, ThreatFacts
from memberscan.report.published_canaries import canaries
from memberscan.report.published_parties import federation
from memberscan.report.published_people import person_exposure
from memberscan.report.published_references import references
from memberscan.report.validation import check

if TYPE_CHECKING:
    from jaxtyping import Float

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas")


def publish(outcome: Outcome) -> AuditContent:
    """Return the content of audit.json: without small groups, and with rounded numbers."""
    exact = _exact(outcome)
    found = disclosure.published(exact)
    findings = tuple(_finding(finding, outcome) for finding in found.findings)
    checks = found.checks.model_copy(update={"gap": _gap(found.checks.gap)})
    basis = _basis(outcome.verdict.basis, findings)
    hidden = _hidden_difference(outcome, basis.bound)
    verdict = found.verdict.model_copy(update={"basis": basis, "hidden_difference": hidden})
    found = found.model_copy(update={"findings": findings, "checks": checks, "verdict": verdict})
    # What is written is checked like what is read: names of columns, sites and learners may hold anything.
    return check(found.dump())


def _of_attacker(threat: ThreatFacts) -> dict[str, Any]:
    """Return what is said of an attacker, apart from whom it knows."""
    known = {"known_members", "known_nonmembers", *(() if threat.checkpoints else ("checkpoints",))}
    return {key: value for key, value in asdict(threat).items() if key not in known}


def _exact(outcome: Outcome) -> AuditContent:
    """Return what an audit says, with numbers that are not rounded yet."""
    smallest = outcome.smallest_cell
    # What says nothing is left out, as files of earlier versions leave it out.
    also = {} if outcome.canaries is None else {"canaries": canaries(outcome.canaries)}
    return AuditContent(
        schema=SCHEMA,
        disclosure=audit_json.Disclosure(smallest_cell=smallest),
        target=_target(outcome),
        threat=audit_json.Threat(
            **_of_attacker(outcome.threat),
            known_per_side=outcome.threat.known_per_side,
            known_members=outcome.threat.known_members,
            known_nonmembers=outcome.threat.known_nonmembers,
        ),
        findings=_findings(outcome),
        gains=tuple(
            finding_json.Gain(
                attack=gain.attack,
                over=gain.over,
                difference=Estimate(value=gain.value, low=gain.low, high=gain.high),
            )
            for gain in outcome.gains
        ),
        not_run=tuple(NotRun(attack=name, reason=reason) for name, reason in outcome.not_run.items()),
        checks=audit_json.Checks(
            gap=_exact_gap(outcome.gap),
            null=_null(outcome.null),
            blind=_blind(outcome.blind, outcome.overlap, outcome.target, smallest),
            predictions=_prediction_check(outcome.prediction_scale),
            images=None if outcome.images is None else audit_json.ImageCheck(**asdict(outcome.images)),
        ),
        exposure=exposure(outcome.exposed, outcome.people, smallest),
        person_exposure=person_exposure(outcome.person_exposure, outcome.people, smallest),
        residuals=audit_json.Residuals(bands=residual_bands(outcome.people, smallest)),
        verdict=audit_json.Verdict(
            label=outcome.verdict.label,
            sentence=outcome.verdict.sentence,
            would_change=outcome.verdict.would_change,
            smallest_detectable_auc=float(two_decimals_up(outcome.verdict.smallest_detectable_auc)),
        ),
        federation=federation(outcome.federation, outcome.threat.attacker, smallest, outcome.people.variable),
        provenance=_provenance(outcome.provenance),
        references=references(outcome.references, outcome.people.variable.step),
        **also,
    )


def _target(outcome: Outcome) -> audit_json.Target:
    people, member, target = outcome.people, outcome.people.member, outcome.target
    step, variable = people.variable.step, people.variable
    # What says nothing is left out, as files of earlier versions leave it out.
    also: dict[str, Any] = {} if variable.is_age else {"variable": variable}
    if target.defence is not None:
        also["defence"] = target.defence
    if target.guarantee is not None:
        also["guarantee"] = Guarantee(**asdict(target.guarantee))
    if target.answers is not None:
        also["answers"] = target.answers
    if target.taught_on is not None:
        also["taught_on"] = target.taught_on
    return audit_json.Target(
        kind=target.kind,
        model=target.model,
        parameters=target.parameters,
        synthetic=target.synthetic,
        randomised=target.randomised,
        members=int(member.sum()),
        nonmembers=int((~member).sum()),
        scans=target.scans,
        mae_members=mean_error(people.mean_absolute[member], step),
        mae_nonmembers=mean_error(people.mean_absolute[~member], step),
        rmse_members=root_mean_square_error(people.mean_square[member], step),
        rmse_nonmembers=root_mean_square_error(people.mean_square[~member], step),
        predictions_from=target.predictions_from,
        **also,
    )


def mean_error(values: Float[np.ndarray, " n"], step: float) -> Measured:
    """Return a mean of errors, with an error no smaller than what any one person changes it by."""
    error = max(float(values.std()) / math.sqrt(len(values)), _of_one_person(values))
    return Measured(values.mean(), error, finest=step)


def root_mean_square_error(squares: Float[np.ndarray, " n"], step: float) -> Measured:
    """Return the root of a mean of squared errors, likewise; its error by the delta method."""
    root = math.sqrt(squares.mean())
    error = max(float(squares.std()) / math.sqrt(len(squares)), _of_one_person(squares))
    return Measured(root, error / (2 * root) if root else 0.0, finest=step)


def _of_one_person(values: Float[np.ndarray, " n"]) -> float:
    # A step is at least two fifths of the error it is derived from, and so at least what one person changes.
    return 2.5 * float(np.abs(values - values.mean()).max()) / len(values)


def _findings(outcome: Outcome) -> tuple[finding_json.Finding, ...]:
    if outcome.null is None:
        return ()
    return tuple(
        _exact_finding(
            finding,
            outcome.attacks[finding.attack],
            float(outcome.null.p_values[k]),
            None if outcome.within is None else _within(outcome.within, k),
        )
        for k, finding in enumerate(outcome.findings)
    )


def _exact_finding(
    finding: evidence_findings.Finding,
    attack: AttackFacts,
    p_value: float,
    within: finding_json.WithinStrata | None,
) -> finding_json.Finding:
    return finding_json.Finding(
        attack=finding.attack,
        auc=_auc(finding.auc, finding.simultaneous_low),
        accuracy=_estimate(finding.accuracy),
        tpr=tuple(finding_json.Rate.model_validate(point.to_dict()) for point in finding.tpr),
        roc=finding_json.Roc(fpr=tuple(finding.roc[0].tolist()), tpr=tuple(finding.roc[1].tolist())),
        scored=finding_json.Scored(members=finding.members, nonmembers=finding.nonmembers),
        title=attack.title,
        access=attack.access,
        fitted=attack.fitted,
        p_value=p_value,
        within_strata=within,
    )


def _within(within: Estimates, k: int) -> finding_json.WithinStrata:
    return finding_json.WithinStrata(auc=_auc(within.intervals[k], float(within.simultaneous_low[k])))


def _auc(interval: Interval, simultaneous_low: float) -> Auc:
    bound = Bound(level=SIMULTANEOUS_LEVEL, low=simultaneous_low)
    return Auc(value=interval.value, low=interval.low, high=interval.high, simultaneous=bound)


def _estimate(interval: Interval) -> Estimate:
    return Estimate(value=interval.value, low=interval.low, high=interval.high)


def _finding(finding: finding_json.Finding, outcome: Outcome) -> finding_json.Finding:
    """Return a rounded finding with few points of its curve, without a count that would reveal another."""
    scored = finding.scored
    assert scored.members is not None
    sides = scored.members, scored.nonmembers
    roc = disclosure.curve(finding.roc, finding.tpr, sides, outcome.smallest_cell)
    # In a federation only members of learners with too few people are not scored, and subtraction would
    # reveal how many they are.
    unscored = int(outcome.people.member.sum()) - scored.members
    if outcome.threat.attacker != "outsider" and 0 < unscored < outcome.smallest_cell:
        scored = scored.model_copy(update={"members": None})
    return finding.model_copy(update={"roc": roc, "scored": scored})


def _basis(basis: Basis, findings: Sequence[finding_json.Finding]) -> audit_json.Basis:
    """Return the basis of the verdict, with the rounded numbers of the strongest attack."""
    strongest = next((finding for finding in findings if finding.attack == basis.attack), None)
    bound = p_value = None
    if strongest is not None and basis.bound is not None:
        within = strongest.within_strata
        judged = within.auc if within and basis.rule == "within strata" else strongest.auc
        bound = judged.simultaneous.low
    if strongest is not None and basis.p_value is not None:
        p_value = strongest.p_value
    return audit_json.Basis(
        rule=basis.rule,
        attack=basis.attack,
        bound=bound,
        p_value=p_value,
        ranking=basis.ranking,
        shown=basis.shown,
    )


def _hidden_difference(outcome: Outcome, bound: float | None) -> bounds_json.HiddenDifference | None:
    """Return what would explain a finding, from its published bound, so that it adds nothing to that."""
    if outcome.verdict.label != "leaks" or outcome.blind.randomised or bound is None:
        return None
    least = least_hidden_difference(bound)
    # Downwards: a hidden difference must be at least as large.
    return bounds_json.HiddenDifference(
        two_kinds=floored(least.two_kinds, FINEST), any_kinds=floored(least.any_kinds, FINEST)
    )


def _exact_gap(gap: Gap) -> audit_json.Gap:
    h = None if gap.h is None else _estimate(gap.h)
    return audit_json.Gap(h=h, auc=_estimate(gap.auc), accuracy=_estimate(gap.accuracy))


def _gap(found: audit_json.Gap) -> audit_json.Gap:
    """Return the gap with both fractions computed from the rounded ratio, so that they add nothing to it."""
    if found.h is None:
        return found
    ratio = 1 + np.array([found.h.value, found.h.low, found.h.high])
    auc, accuracy = (np.round(f(ratio), 3).tolist() for f in (auc_of_ratio, accuracy_of_ratio))
    return found.model_copy(
        update={"auc": _estimate(Interval(*auc)), "accuracy": _estimate(Interval(*accuracy))}
    )


def _null(null: NullCheck | None) -> audit_json.Null:
    if null is None:
        return audit_json.Null(method="permutation", permutations=None, p_values={}, mean_auc=None)
    permuted = null.permutations is not None
    return audit_json.Null(
        method="permutation" if permuted else "closed form",
        permutations=null.permutations,
        p_values=dict(zip(null.attacks, null.p_values.tolist(), strict=True)),
        mean_auc=_null_means(null) if permuted else None,
    )


def _null_means(null: NullCheck) -> dict[str, float]:
    # Two digits at most: the mean says that the audit is sound, and its own error says nothing about people.
    errors = np.maximum(null.null_spread / np.sqrt(null.permutations or 1), 0.01)
    means = zip(null.attacks, null.null_mean.tolist(), errors.tolist(), strict=True)
    return {attack: Measured(mean, error) for attack, mean, error in means}


def _blind(check: Blind, overlap: Overlap | None, target: TargetFacts, smallest: int) -> audit_json.Blind:
    pairs, error = check.pairs or 0, check.chance_error
    enough = min(check.sides) >= smallest
    matched = audit_json.Matched(members=pairs, nonmembers=pairs)
    return audit_json.Blind(
        auc=None if check.auc is None or not enough else Measured(check.auc, error),
        p_value=check.p_value if enough else None,
        tripped=check.tripped,
        gates=check.gates,
        covariates=tuple(
            audit_json.Covariate(name=c.name, auc=Measured(c.auc, error), p_value=c.p_value)
            for c in (check.covariates if enough else ())
        ),
        worst=check.worst if check.tripped else None,
        ignored=(*target.ignored, *target.left_out, *check.ignored),
        reasons={**target.left_out, **check.ignored},
        matched=matched if check.tripped and pairs >= smallest else None,
        overlap=None if overlap is None or not enough else _overlap(overlap),
    )


def _overlap(found: Overlap) -> bounds_json.Overlap:
    return bounds_json.Overlap(**asdict(found), extent=found.extent)


def _prediction_check(found: PredictionScale | None) -> audit_json.PredictionCheck | None:
    if found is None:
        return None
    return audit_json.PredictionCheck(
        unlike=found.unlike, differences=found.differences, p_value=found.p_value
    )


def _provenance(facts: ProvenanceFacts) -> audit_json.Provenance:
    libraries = (*_LIBRARIES, "torch") if facts.weights else _LIBRARIES
    return audit_json.Provenance(
        memberscan=version("memberscan"),
        versions={"python": platform.python_version(), **{name: version(name) for name in libraries}},
        seed=facts.seed,
        cohort=facts.cohort,
        roles=facts.roles,
        weights=facts.weights,
        predictions=facts.predictions,
        threads=facts.threads,
        source=facts.source,
        date=facts.date,
        name=facts.name,
        note=facts.note,
    )
