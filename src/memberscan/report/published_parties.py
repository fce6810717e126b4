"""What audit.json says of a federation: parties, pairs, rounds, and the check without the model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from memberscan.evidence.intervals import LEVEL, Interval
from memberscan.evidence.rounding import Measured
from memberscan.report import disclosure, party_words
from memberscan.report.content.federation_json import (
    AfterRound,
    AtCoverage,
    Federation,
    Learner,
    LeftOut,
    Pair,
    SourceInference,
    Victim,
)
from memberscan.report.content.parts import Attacker, Estimate

if TYPE_CHECKING:
    from memberscan.evidence.blind import Blind
    from memberscan.evidence.pairs import PairResult
    from memberscan.report.content.variable_json import Variable
    from memberscan.report.outcome import FederationFacts, LearnerFacts, SourceResult


def federation(
    facts: FederationFacts | None, attacker: Attacker, smallest: int, variable: Variable
) -> Federation | None:
    """Return what is said of a federation, with exact numbers but without small groups; None if none."""
    if facts is None:
        return None
    uncounted = _uncounted(facts.learners, smallest)
    return Federation(
        attacker=attacker,
        environment=facts.environment,
        secure=facts.secure,
        visible_to_server=facts.secure == "none",
        simulated=facts.simulated,
        rounds=facts.rounds,
        local_epochs=facts.local_epochs,
        transcript=facts.transcript,
        known_nonmembers=facts.known_nonmembers,
        learners=tuple(_learner(learner, uncounted, variable) for learner in facts.learners),
        left_out=tuple(LeftOut(round=r.round, learner=r.learner, reason=r.reason) for r in facts.left_out),
        pairs=tuple(
            _pair(pair, facts.unseen.get((pair.attack, pair.victim)), uncounted, smallest)
            for pair in facts.pairs
        ),
        victims=_victims(facts.victims, smallest),
        by_round=tuple(
            AfterRound(round=r.round, attack=r.attack, auc=_estimate(r.auc), accuracy=_estimate(r.accuracy))
            for r in facts.by_round
        ),
        coverage=tuple(
            AtCoverage(attack=c.attack, coverage=c.coverage, auc=_estimate(c.auc))
            for c in facts.coverage
            if c.members >= smallest
        ),
        sources=_sources(facts.sources),
        held_out_randomised=facts.held_out_randomised,
        together=None if facts.together is None else _victim(party_words.EVERYONE, facts.together, smallest),
    )


def _learner(facts: LearnerFacts, uncounted: Collection[str], variable: Variable) -> Learner:
    """Return what is published of a learner: only its name where more could reveal a small group."""
    if facts.name in uncounted:
        return Learner(name=facts.name, members=None, age_mean=None, age_sd=None)
    if variable.classes:
        return Learner(name=facts.name, members=facts.members, age_mean=None, age_sd=None)
    # The standard errors of a mean, and of a standard deviation of normally distributed values.
    of_mean, of_spread = facts.age_sd / math.sqrt(facts.members), facts.age_sd / math.sqrt(2 * facts.members)
    return Learner(
        name=facts.name,
        members=facts.members,
        age_mean=Measured(facts.age_mean, of_mean, finest=variable.step),
        age_sd=Measured(facts.age_sd, of_spread, finest=variable.step),
    )


def _uncounted(facts: Sequence[LearnerFacts], smallest: int) -> set[str]:
    """Return the learners whose number of people is hidden, so that it cannot be found by subtraction."""
    hides = disclosure.hidden([(learner.members,) for learner in facts], smallest)
    return {learner.name for learner, hide in zip(facts, hides, strict=True) if hide}


def _pair(result: PairResult, unseen: str | None, uncounted: Collection[str], smallest: int) -> Pair:
    few = min(result.members, result.nonmembers) < smallest
    reason = f"fewer than {smallest} people on a side" if few else result.reason
    return Pair(
        attack=result.attack,
        attacker=result.attacker,
        victim=result.victim,
        members=None if few or result.victim in uncounted else result.members,
        nonmembers=None if few else result.nonmembers,
        auc=None if few or result.auc is None else _estimate(result.auc, LEVEL),
        accuracy=None if few or result.accuracy is None else _estimate(result.accuracy, LEVEL),
        p_value=None if few else result.p_value,
        p_holm=None if few else result.p_holm,
        reason=unseen or reason,
    )


def _victims(blinds: Mapping[str, Blind], smallest: int) -> tuple[Victim, ...]:
    return tuple(_victim(name, check, smallest) for name, check in blinds.items())


def _victim(name: str, check: Blind, smallest: int) -> Victim:
    enough = min(check.sides) >= smallest
    return Victim(
        name=name,
        auc=None if check.auc is None or not enough else Measured(check.auc, check.chance_error),
        p_value=check.p_value if enough else None,
        tripped=check.tripped and enough,
        gates=check.gates and enough,
        worst=check.worst if check.tripped and enough else None,
    )


def _sources(found: SourceResult | None) -> SourceInference | None:
    if found is None:
        return None
    return SourceInference(
        accuracy=_estimate(found.accuracy),
        # Two digits: the share of the largest learner, and not its number of people.
        chance=round(found.chance, 2),
        blind=None if found.blind is None else _estimate(found.blind),
        blind_name=found.blind_name,
    )


def _estimate(interval: Interval, level: float | None = None) -> Estimate:
    said = {} if level is None else {"level": level}
    return Estimate(value=interval.value, low=interval.low, high=interval.high, **said)
