"""Facts about a federation for its report: its parties, every pair, the rounds, and whose people they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan import seeds
from memberscan.attacks import Attack, UpdateAttack
from memberscan.attacks.parties import by_learners
from memberscan.attacks.updates import LeastSquares, mean_over_rounds
from memberscan.auditing.party import Party, View
from memberscan.auditing.source import RunSource, Source
from memberscan.auditing.sources import image_baseline, source_inference, taking_part
from memberscan.errors import TooFewSubjectsError
from memberscan.evidence.intervals import Interval
from memberscan.evidence.pairs import PairScores, pair_results
from memberscan.evidence.pooled import Pooled, pooled
from memberscan.report.outcome import (
    CoverageResult,
    FederationFacts,
    LearnerFacts,
    LeftOutFacts,
    RoundResult,
    SourceResult,
)
from memberscan.signals.signals import PREDICTION, ROUND_PREDICTIONS, Signals
from memberscan.threat import Attacker

if TYPE_CHECKING:
    from memberscan.evidence.blind import Blind
    from memberscan.runs import Transcript

RESAMPLES = 200
"""Of the intervals of a curve; those of the findings rest on more."""
COVERAGE = (0.25, 0.5, 0.75, 1.0)
FOLLOWED = "prediction+label"
"""The learner's attack that is followed from round to round: the paper's first."""


def of_outsider(target: Source) -> FederationFacts | None:
    """Return what is known of the federation whose final model an outsider attacks; None if none."""
    if not isinstance(target, RunSource) or target.run.federation is None:
        return None
    return FederationFacts(**_about(target, target.run.transcript, Attacker.OUTSIDER))


def of_party(
    party: Party,
    attacks: Mapping[str, Attack | UpdateAttack],
    view: View,
    scored: Sequence[PairScores],
    strongest: str | None,
    blinds: Mapping[str, Blind],
) -> FederationFacts:
    """Return all that is said of the federation beside the findings."""
    pairs = [
        result
        for attack in scored
        for result in pair_results(
            attack, party.who.home, seeds.generator(party.seed, "pairs", attack.attack)
        )
    ]
    unseen = {
        (attack.attack, victim): party.unseen(attacks[attack.attack], victim)
        for attack in scored
        for victim in attack.victims
        if victim not in attack.seen
    }
    return FederationFacts(
        **_about(party.target, party.transcript, party.attacker),
        known_nonmembers=int(party.who.known.sum()),
        pairs=pairs,
        unseen=unseen,
        victims=blinds,
        by_round=_by_round(party, attacks, view, strongest),
        coverage=[
            row for a in attacks.values() if isinstance(a, LeastSquares) for row in _coverage(party, a, view)
        ],
        sources=_sources(party, view),
    )


def _about(target: RunSource, transcript: Transcript, attacker: Attacker) -> dict[str, Any]:
    """Return the facts that do not depend on what the attacks showed."""
    # An audit of predictions must not pay for torch.
    from memberscan.federation.environments import age_table

    facts = target.run.federation or {}
    table = age_table(target.cohort, target.run.roles)
    return {
        "environment": facts.get("environment"),
        "secure": transcript.secure,
        "simulated": attacker is Attacker.ACTIVE_SERVER and transcript.secure == "none",
        "rounds": len(transcript.rounds),
        "local_epochs": facts.get("local_epochs"),
        "transcript": transcript.fingerprint,
        # Who is held out of a federation of ours is drawn at random, whoever holds the others.
        "held_out_randomised": bool(facts.get("environment")),
        "learners": [
            LearnerFacts(str(name), int(members), float(mean), float(spread))
            for name, members, mean, spread in table.itertuples(index=False)
        ],
        "left_out": [
            LeftOutFacts(r.number, name, reason)
            for r in transcript.rounds
            for name, reason in r.left_out.items()
        ],
    }


def _by_round(
    party: Party, attacks: Mapping[str, Attack | UpdateAttack], view: View, strongest: str | None
) -> list[RoundResult]:
    """Follow one attack over the rounds: a learner's in each round, a server's in all rounds up to each."""
    if strongest is None:
        return []
    attack = attacks[FOLLOWED if FOLLOWED in attacks else strongest]
    if isinstance(attack, UpdateAttack):
        each = party.of_victims(attack.by_round(view.seen), view)
        scored = [party.scored(attack.name, mean_over_rounds(each[: k + 1])) for k in range(len(view.rounds))]
    elif attack.needs.predictions_only:
        scored = [
            by_learners(attack, _signals(view, k), party.who, party.transcript.learners)
            for k in range(len(view.rounds))
        ]
    else:
        return []
    rows = []
    for number, pairs in zip(view.rounds, scored, strict=True):
        # Up to an early round there may be no learner yet whose updates show anything.
        if not pairs.seen:
            continue
        pool = _pool(party, pairs, "round", number)
        rows.append(RoundResult(number, attack.name, pool.joint.intervals[0], pool.accuracy[0]))
    return rows


def _signals(view: View, k: int) -> Signals:
    """Return what an attacker sees who has the predictions of one round only."""
    return Signals(view.final.scans, {PREDICTION: view.final.arrays[ROUND_PREDICTIONS][:, k]})


def _coverage(party: Party, attack: LeastSquares, view: View) -> list[CoverageResult]:
    """Return how an attack on all candidates at once does if only a share of the members is among them."""
    who, rows = party.who, []
    order = seeds.generator(party.seed, "coverage").permutation(len(who.subjects))
    for share in COVERAGE:
        kept = ~who.member
        for home in range(len(who.victims)):
            own = order[who.home[order] == home]
            kept[own[: max(1, round(share * len(own)))]] = True
        scans = kept[who.subject]
        scores = np.full((len(who.subject), len(who.victims)), np.nan)
        scores[scans] = party.of_victims(attack.score(view.seen.of(scans)), view)
        try:
            pool = _pool(party, party.scored(attack.name, scores), "coverage", str(share))
        except TooFewSubjectsError:
            continue
        members = int((kept & who.member).sum())
        rows.append(CoverageResult(attack.name, share, members, pool.joint.intervals[0]))
    return rows


def _pool(party: Party, pairs: PairScores, *names: str | int) -> Pooled:
    return pooled([pairs], party.who.home, seeds.generator(party.seed, *names), resamples=RESAMPLES)


def _sources(party: Party, view: View) -> SourceResult | None:
    """Return how well the server says which learner holds a member, against a look at the inputs alone."""
    if view.updates is None or party.attacker is Attacker.AGGREGATE or len(party.who.victims) < 2:
        return None
    inferred = source_inference(view.updates, party.who)
    if inferred is None:
        return None
    ids = view.final.scans.index.tolist()
    learners = taking_part(view.updates, party.who)
    baseline = image_baseline(party.target.cohort, ids, party.who, learners)
    blind = None if baseline is None else Interval(**baseline)
    return SourceResult(Interval(**inferred["accuracy"]), inferred["chance"], blind, "inputs")
