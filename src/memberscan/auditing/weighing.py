"""How sure an audit is of what its attacks show: estimates, chance, people who are alike, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memberscan import seeds
from memberscan.attacks.attempt import refitted_null_aucs
from memberscan.evidence.blind import Blind, blind_check
from memberscan.evidence.estimates import Difference, Estimates, estimate_aucs, paired_difference
from memberscan.evidence.findings import Finding, collect_findings
from memberscan.evidence.gap import Gap, gap_baseline
from memberscan.evidence.groups import JudgedScores, judged_scores
from memberscan.evidence.multiple import holm
from memberscan.evidence.overlap import Overlap, diagnose_overlap
from memberscan.evidence.pairs import placements
from memberscan.evidence.permutation import NullCheck, normal_null, permuted_aucs, permuted_null
from memberscan.evidence.power import SMALL
from memberscan.evidence.prediction_scale import PredictionScale, compare_predictions
from memberscan.evidence.resampling import errors_of
from memberscan.evidence.scores import Scores
from memberscan.evidence.strata import Strata, estimate_within_strata
from memberscan.evidence.verdict import Sides, Verdict, judge, nothing_seen

if TYPE_CHECKING:
    import pandas as pd

    from memberscan.attacks import Attack, Features
    from memberscan.report.outcome import AttackFacts, PeopleFacts
    from memberscan.targets import Target

_REFERENCE_ATTACK = "prediction+label"
"""The attack on outputs that attacks on weights are compared with."""
LARGEST_PERMUTED = 1000
"""Up to this many subjects attacks are refitted with membership permuted; above, the closed form serves."""
MADE_UNKNOWN = (
    "How the predictions were made was not stated: if members' predictions were made in another way than "
    "non-members', such as in training mode, that alone may give this result or hide a leak."
)
DECIDING = 1000
"""Permutations where p-values decide: p < .01 then has size 10/1001, and little power is lost."""
PERMUTATIONS = 499
"""Of the sides of pairs, whose attacks are not refitted, where p-values do not decide."""


@dataclass(frozen=True, eq=False)
class Weighed:
    """What the evidence says of the attacks of one audit.

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
        The check without the model of each group of people, and the one that tells most. P-values of single
        groups are corrected for their number.
    gap
        What the gap between the errors of members and of others predicts by itself.
    verdict
        The conclusion.
    judged
        The strongest attack's scores as the verdict judges them.
    gains
        What attacks on weights add over the outputs.
    prediction_scale
        Whether given predictions of the two sides look as if they were made in one way; None where none were
        given.
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
    overlap: Overlap | None = None

    @property
    def by_person(self) -> list[Scores]:
        """One row of scores for each attack: of pairs, the mean place among the non-members of each."""
        return [placements(attack) if attack.pairs else attack for attack in self.scores]


def check_covariates(target: Target, covariates: pd.DataFrame) -> dict[str, Blind]:
    """Try to tell who was trained on without any model, in each group of people of the target.

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
    attacks: Mapping[str, Attack],
    features: Mapping[str, Features],
    scores: Sequence[Scores],
    checks: Mapping[str, Blind],
    people: PeopleFacts,
    about: Mapping[str, AttackFacts],
) -> Weighed:
    """Weigh what the attacks show.

    Parameters
    ----------
    target
        What was audited.
    attacks, features
        Attacks and what they saw, to be carried out again with membership permuted.
    scores
        Of the same attacks in their order.
    checks
        From :func:`check_covariates`.
    people
        The model's errors of each person.
    about
        What a report says of each attack.
    """
    seen = {name for attack in scores for name in attack.seen}
    # Groups of whom no attack saw anything decide nothing; where no attack ran, all are shown. All people
    # together count where any were seen.
    pooled = {group.name for group in target.groups if group.pooled}
    told = [check for name, check in checks.items() if name in seen | pooled or not scores]
    worst = max(told, key=lambda check: (check.gates, check.plain, check.tripped, check.auc or 0.0))
    gap = gap_baseline(people.mean_square, people.member, seeds.generator(target.seed, "gap"))
    scale = None
    if target.predictions_from is not None:
        scale = compare_predictions(people.age, people.residual, people.member)
    if not scores:
        return Weighed(scores, checks, worst, gap, nothing_seen(), prediction_scale=scale)
    errors = errors_of(scores, seeds.generator(target.seed, "pooled"))
    estimates = estimate_aucs(scores, errors)
    null = _null(target, [(a, features[name]) for name, a in attacks.items()], scores, estimates)
    strata = {g.name: Strata.of_check(checks[g.name], g.asked) for g in target.groups}
    within, overlap = None, None
    if worst.gates:
        resampled = errors_of(scores, seeds.generator(target.seed, "within"))
        within = estimate_within_strata(scores, strata, resampled)
    if within is not None:
        overlap = diagnose_overlap(
            (group.inside[group.asked], checks[group.name].strata)
            for group in target.groups
            if group.name in seen
        )
    # Single groups say more precisely than all together who differs.
    gating = [name for name, check in checks.items() if check.gates and name in seen] or sorted(pooled)
    sides = Sides.of_learners(gating) if scores[0].pairs else None
    verdict = judge(estimates, null, worst, within, sides, overlap)
    if target.predictions_from == "unknown":
        verdict = replace(verdict, sentence=f"{verdict.sentence} {MADE_UNKNOWN}")
    # What attacks on the weights add over the outputs, on the same subjects and draws.
    scored = {attack.attack: attack for attack in scores}
    compared = (
        []
        if scores[0].pairs or _REFERENCE_ATTACK not in scored
        else [name for name, attack in about.items() if attack.fitted and attack.access != "outputs"]
    )
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
        gains=[paired_difference(scored[name], scored[_REFERENCE_ATTACK], errors) for name in compared],
        overlap=overlap,
    )


def _null(
    target: Target,
    observed: Sequence[tuple[Attack, Features]],
    scores: Sequence[Scores],
    estimates: Estimates,
) -> NullCheck:
    """Return what chance alone would show."""
    if scores[0].pairs:
        permutations = DECIDING if estimates.fewest < SMALL else PERMUTATIONS
        rng = seeds.generator(target.seed, "null")
        return permuted_null(estimates, permuted_aucs(scores, rng, permutations))
    if len(target.member) > LARGEST_PERMUTED:
        return normal_null(estimates)
    return permuted_null(estimates, refitted_null_aucs(observed, target, _refits(estimates)))


def _refits(estimates: Estimates) -> int:
    """Return how many times attacks are refitted: most where p-values decide, fewer where each costs more."""
    if estimates.fewest < SMALL:
        return DECIDING
    return 199 if estimates.fewest < 150 else 99
