"""Results of the audit of a federation: its parties, every pair, rounds, coverage and source inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from memberscan import seeds
from memberscan.attacks import Attack, Features, prediction_label
from memberscan.attacks import source_inference as source
from memberscan.attacks.attempt import attempt, observe
from memberscan.attacks.least_squares import LeastSquares
from memberscan.auditing.weighing import Weighed
from memberscan.errors import TooFewSubjectsError
from memberscan.evidence.pairs import pair_results
from memberscan.evidence.resampling import pooled_intervals
from memberscan.report.outcome import (
    CoverageResult,
    FederationFacts,
    LearnerFacts,
    LeftOutFacts,
    RoundResult,
    SourceResult,
)
from memberscan.signals import PREDICTION, Signal, View
from memberscan.signals.round_predictions import ROUND_PREDICTIONS
from memberscan.threat import Attacker

if TYPE_CHECKING:
    from memberscan.report.content.parts import Secure
    from memberscan.targets import Target
    from memberscan.targets.party import Party
    from memberscan.targets.trained_model import TrainedModel

RESAMPLES = 200
"""Resamples for the intervals of a curve; those of the findings use more."""
COVERAGE = (0.25, 0.5, 0.75, 1.0)
FOLLOWED = prediction_label.PREDICTION_LABEL.name
"""The attack of a learner that is repeated for each round: the first of the paper."""


def also_reads(target: Target) -> tuple[Signal, ...]:
    """Return signals beside those of the attacks.

    Source inference needs the learners' own models, and one attack of a learner on predictions is repeated
    for each round.
    """
    attacker = target.threat.attacker
    if attacker is Attacker.LEARNER:
        return (ROUND_PREDICTIONS,)
    return () if target.conceals or attacker not in source.READS else (source.READS[attacker],)


def collect(
    target: Target,
    view: View,
    attacks: Mapping[str, Attack],
    features: Mapping[str, Features],
    found: Weighed,
) -> FederationFacts | None:
    """Return the results of a federation and its parties; None if the target is not of a federation.

    Parameters
    ----------
    target, view
        What was audited, and what its attacker sees.
    attacks, features
        The attacks that ran, and their features.
    found
        The evidence.
    """
    if target.predictions is not None:
        return None
    # An audit of predictions does not need torch.
    from memberscan.targets.party import EVERYONE, Party
    from memberscan.targets.trained_model import TrainedModel

    assert isinstance(target, TrainedModel)
    if target.run.federation is None:
        return None
    facts = _facts(target)
    if not isinstance(target, Party):
        return facts
    inferred = source.infer_sources(view, target)
    return replace(
        facts,
        known_nonmembers=int(target.known_nonmembers.sum()),
        unseen={
            (scores.attack, victim): target.unseen(victim, attacks[scores.attack].others)
            for scores in found.scores
            for victim in target.victims
            if victim not in scores.seen
        },
        pairs=pair_results(found.scores, seeds.generator(target.seed, "pairs")),
        victims={name: found.checks[name] for name in target.victims},
        together=found.checks.get(EVERYONE),
        by_round=_by_round(target, attacks, view, features, found),
        coverage=[
            point
            for attack in attacks.values()
            if isinstance(attack, LeastSquares)
            for point in _coverage(target, attack, view)
        ],
        sources=None
        if inferred is None
        else SourceResult(inferred.accuracy, inferred.chance, inferred.inputs, "inputs"),
    )


def _facts(target: TrainedModel) -> FederationFacts:
    from memberscan.federation.environments import label_table

    facts, transcript = target.run.federation or {}, target.run.transcript
    return FederationFacts(
        environment=facts.get("environment"),
        secure=cast("Secure", transcript.secure),
        simulated=target.threat.attacker is Attacker.ACTIVE_SERVER and transcript.secure == "none",
        rounds=len(transcript.rounds),
        local_epochs=facts.get("local_epochs"),
        transcript=transcript.fingerprint,
        held_out_randomised=target.held_out_at_random,
        learners=[
            LearnerFacts(*row) for row in label_table(target.cohort, target.run.roles).itertuples(index=False)
        ],
        left_out=[
            LeftOutFacts(entry.number, name, reason)
            for entry in transcript.rounds
            for name, reason in entry.left_out.items()
        ],
    )


def _by_round(
    party: Party,
    attacks: Mapping[str, Attack],
    view: View,
    features: Mapping[str, Features],
    found: Weighed,
) -> list[RoundResult]:
    """Repeat one attack over the rounds: of a learner in each round, of a server in all rounds up to each."""
    strongest = found.verdict.basis.attack
    if strongest is None:
        return []
    attack = attacks[FOLLOWED if FOLLOWED in attacks else strongest]
    count = len(view.rounds)
    if attack.by_learner:
        parts = [features[attack.name].up_to(place + 1) for place in range(count)]
    elif attack.reads == (PREDICTION,):
        parts = [observe(attack, _of_round(view, place)) for place in range(count)]
    else:
        return []
    results = []
    for number, part in zip(view.rounds, parts, strict=True):
        scores = attempt(attack, part, party, view.learners)
        # In early rounds no learner may have sent an update that the attack can use.
        if scores is None:
            continue
        rng = seeds.generator(party.seed, "round", number)
        auc, accuracy = pooled_intervals(scores, rng, resamples=RESAMPLES)
        results.append(RoundResult(number, attack.name, auc, accuracy))
    return results


def _of_round(view: View, place: int) -> View:
    """Return the view of an attacker that has the predictions of one round only."""
    return View(view.scans, {PREDICTION: view[ROUND_PREDICTIONS][:, place]})


def _coverage(party: Party, attack: LeastSquares, view: View) -> list[CoverageResult]:
    """Return the results of an attack on all candidates at once if only a share of members is among them."""
    results = []
    order = seeds.generator(party.seed, "coverage").permutation(len(party.people))
    for share in COVERAGE:
        kept = ~party.member
        for victim in range(len(party.victims)):
            own = order[party.home[order] == victim]
            kept[own[: max(1, round(share * len(own)))]] = True
        scans = kept[party.people.of_scan]
        part = observe(attack, view.of(scans)).spread(view.scans.index, scans)
        scores = attempt(attack, part, party, view.learners, asked=kept)
        if scores is None:
            continue
        rng = seeds.generator(party.seed, "coverage", str(share))
        try:
            auc, _ = pooled_intervals(scores, rng, resamples=RESAMPLES)
        except TooFewSubjectsError:
            continue
        members = int((kept & party.member).sum())
        results.append(CoverageResult(attack.name, share, members, auc))
    return results
