"""How certain the results of attacks are: estimates, p-values, comparisons within strata, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memberscan import seeds
from memberscan.attacks.null import by_chance
from memberscan.auditing.gains import measure_gains
from memberscan.evidence.blind import Blind, blind_check
from memberscan.evidence.estimates import Difference, Estimates, estimate_aucs
from memberscan.evidence.findings import Finding, collect_findings
from memberscan.evidence.gap import Gap, gap_baseline
from memberscan.evidence.groups import JudgedScores, judged_scores
from memberscan.evidence.multiple import holm
from memberscan.evidence.overlap import Overlap, diagnose_overlap
from memberscan.evidence.own_images import OwnImages, judge_images
from memberscan.evidence.permutation import NullCheck
from memberscan.evidence.prediction_scale import PredictionScale, compare_predictions
from memberscan.evidence.resampling import errors_of
from memberscan.evidence.scores import Scores
from memberscan.evidence.strata import Strata, estimate_within_strata
from memberscan.evidence.verdict import Sides, Verdict, judge, nothing_seen, with_other_images
from memberscan.signals.reference_models import REFERENCE_PREDICTIONS
from memberscan.threat import Attacker

if TYPE_CHECKING:
    import pandas as pd

    from memberscan.attacks import Features
    from memberscan.auditing.selection import Selection
    from memberscan.report.outcome import PeopleFacts
    from memberscan.targets import Target

MADE_UNKNOWN = (
    "How the predictions were made was not stated: if members' predictions were made in another way than "
    "non-members', such as in training mode, that alone may cause this result or hide a leak."
)
_OF_UPDATES = "The learners' updates leak who was in their training sets"
_LEAKS = {
    Attacker.LEARNER: "The global models leak who was in the learners' training sets",
    Attacker.SERVER: _OF_UPDATES,
    Attacker.ACTIVE_SERVER: _OF_UPDATES,
    Attacker.AGGREGATE: "The sums of the learners' updates leak who was in their training sets",
}
"""What leaks, as the verdict says it, by what each party of a federation sees."""


@dataclass(frozen=True, eq=False)
class Weighed:
    """The evidence about the attacks of one audit.

    Parameters
    ----------
    scores
        Of each attack, row by row.
    estimates, null, within
        AUCs of all people, their p-values, and AUCs among people alike in the covariates; None where no
        attack ran, or the last is not needed or not possible.
    findings
        What each attack showed.
    checks, check
        The check without the model of each group of people, and the one that counts for the verdict. P-values
        of single groups are corrected for their number.
    gap
        What the difference between the errors of members and non-members predicts by itself.
    verdict
        The conclusion.
    judged
        The strongest attack's scores as the verdict judges them.
    gains
        How much attacks on weights improve on the outputs, and on the outputs and references.
    prediction_scale
        Whether the predictions of the two sides seem to have been made in one way; None if the audit is not
        of a predictions file.
    images
        Whether a model that was trained elsewhere gets the images that it was trained on; else None.
    overlap
        How far the sides overlap in the covariates; None where attacks are not judged within strata, or too
        few people are alike to judge any.
    """

    scores: Sequence[Scores]
    checks: Mapping[str, Blind]
    check: Blind
    gap: Gap
    verdict: Verdict
    estimates: Estimates | None = None
    null: NullCheck | None = None
    findings: Sequence[Finding] = ()
    within: Estimates | None = None
    judged: JudgedScores | None = None
    gains: Sequence[Difference] = ()
    prediction_scale: PredictionScale | None = None
    images: OwnImages | None = None
    overlap: Overlap | None = None


def check_covariates(target: Target, covariates: pd.DataFrame) -> dict[str, Blind]:
    """Try to tell members from non-members without any model, in each group of people of the target.

    The p-values of single groups are corrected for their number (Holm); that of the people of all groups
    together is not.
    """
    checks = {
        group.name: blind_check(
            covariates[group.asked],
            group.inside[group.asked],
            seeds.generator(target.seed, *group.seed),
            randomised=group.randomised,
        )
        for group in target.groups
    }
    pooled = {group.name for group in target.groups if group.pooled}
    single = {n: c.p_value for n, c in checks.items() if n not in pooled and c.p_value is not None}
    corrected = zip(single, holm(list(single.values())).tolist(), strict=True)
    return checks | {name: replace(checks[name], p_value=p) for name, p in corrected}


def weigh(
    target: Target,
    selected: Selection,
    features: Mapping[str, Features],
    scores: Sequence[Scores],
    checks: Mapping[str, Blind],
    people: PeopleFacts,
    *,
    refit: bool = True,
) -> Weighed:
    """Weigh what the attacks show.

    Parameters
    ----------
    target
        What was audited.
    selected, features
        Attacks and their features, to be run again with membership permuted.
    scores
        Of the same attacks in their order.
    checks
        From :func:`check_covariates`.
    people
        The model's errors of each person.
    refit
        Whether attacks are refitted with membership permuted where bounds decide, so that p-values decide
        nothing; studies of the verdict leave it out.
    """
    seen = {name for attack in scores for name in attack.seen}
    # Groups that no attack saw do not count; if no attack ran, all are shown. The group of all people counts
    # if any group was seen.
    pooled = {group.name for group in target.groups if group.pooled}
    told = [check for name, check in checks.items() if name in seen | pooled or not scores]
    worst = max(told, key=lambda check: (check.gates, check.plain, check.tripped, check.auc or 0.0))
    gap = gap_baseline(people.mean_square, people.member, seeds.generator(target.seed, "gap"))
    scale = None
    if target.predictions_from is not None and not target.variable.classes:
        scale = compare_predictions(people.label, people.residual, people.member)
    error = people.mean_absolute[people.member]
    guess = target.variable.error_of_constant(people.label[people.member])
    images = judge_images(target.own_images, guess, error, target.stated_error)
    if not scores:
        return Weighed(scores, checks, worst, gap, nothing_seen(), prediction_scale=scale, images=images)
    errors = errors_of(scores, seeds.generator(target.seed, "pooled"))
    estimates = estimate_aucs(scores, errors)
    observed = [(attack, features[name]) for name, attack in selected.attacks.items()]
    null = by_chance(target, observed, scores, estimates, refit=refit)
    strata = {g.name: Strata.of_check(checks[g.name], g.asked) for g in target.groups}
    within, overlap = None, None
    if worst.gates:
        rng = seeds.generator(target.seed, "within")
        within = estimate_within_strata(scores, strata, errors_of(scores, rng))
    if within is not None:
        overlap = diagnose_overlap(
            (group.inside[group.asked], checks[group.name].strata)
            for group in target.groups
            if group.name in seen
        )
    # Single groups say more precisely than the group of all people which people differ.
    gating = [name for name, check in checks.items() if check.gates and name in seen] or sorted(pooled)
    sides = Sides.of_learners(gating, _LEAKS[target.threat.attacker]) if scores[0].pairs else Sides()
    if target.references is not None and any(
        REFERENCE_PREDICTIONS in attack.reads for attack in selected.attacks.values()
    ):
        sides = replace(sides, references=len(target.references))
    verdict = judge(estimates, null, worst, within, sides, overlap)
    if target.predictions_from == "unknown":
        verdict = replace(verdict, sentence=f"{verdict.sentence} {MADE_UNKNOWN}")
    if images is not None and images.problem is not None:
        verdict = with_other_images(verdict, images.problem)
    return Weighed(
        scores=scores,
        checks=checks,
        check=worst,
        gap=gap,
        verdict=verdict,
        estimates=estimates,
        null=null,
        findings=collect_findings(scores, estimates, errors),
        within=within,
        judged=judged_scores(scores, verdict.basis, strata),
        prediction_scale=scale,
        images=images,
        gains=measure_gains(target, selected, features, scores, errors),
        overlap=overlap,
    )
