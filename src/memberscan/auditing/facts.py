"""The plain facts that a report is made from, taken from what is audited, by whom and with which attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from memberscan.evidence.joint import Difference, paired
from memberscan.report.outcome import (
    AttackFacts,
    Outcome,
    PeopleFacts,
    ProvenanceFacts,
    TargetFacts,
    ThreatFacts,
)
from memberscan.threat import Attacker, ThreatModel

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool

    from memberscan.attacks import Attack, UpdateAttack
    from memberscan.auditing.source import Source
    from memberscan.auditing.subjects import Subjects
    from memberscan.evidence.scored import Scored

_REFERENCE_ATTACK = "prediction+label"


@dataclass(frozen=True, eq=False)
class Audited:
    """An outcome, and what is about single persons: who they are, and their scores by each attack."""

    outcome: Outcome
    source: Source
    subjects: Subjects
    scored: Sequence[Scored]


def common_facts(
    source: Source,
    people: Subjects,
    attacks: Mapping[str, Attack | UpdateAttack],
    seen: ThreatModel,
) -> dict[str, Any]:
    """Return facts that every outcome has; the keys are those of :class:`memberscan.report.outcome.Outcome`.

    Parameters
    ----------
    source
        What was audited.
    people
        Its people.
    attacks
        Attacks that ran.
    seen
        What the attacker had of this target.
    """
    about = source.describe()
    return {
        "target": TargetFacts(
            **about, scans=len(source.scans), ignored=tuple(source.ignored), left_out=people.left_out
        ),
        "people": PeopleFacts(
            people.member, people.age, people.residual, people.mean_absolute, people.mean_square, people.sex
        ),
        "attacks": {key: _attack_facts(attack, seen) for key, attack in attacks.items()},
    }


def _attack_facts(attack: Attack | UpdateAttack, seen: ThreatModel) -> AttackFacts:
    # Under secure aggregation an attack on updates has only their sums to work on.
    access = min(attack.needs.access, seen.access)
    return AttackFacts(attack.name, attack.title, cast(Any, str(access)), attack.needs.leaked)


def threat_facts(seen: ThreatModel, known_members: int, known_nonmembers: int) -> ThreatFacts:
    """Return who attacks; a learner also knows its own people, whose number differs between learners."""
    return ThreatFacts(
        access=cast(Any, str(seen.access)),
        leaked=seen.leaked,
        repeats=seen.repeats,
        attacker=cast(Any, str(seen.attacker)),
        rounds=seen.rounds,
        known_members=None if seen.attacker is Attacker.LEARNER else known_members,
        known_nonmembers=known_nonmembers,
    )


def provenance_facts(source: Source, name: str, seed: int, predictions: str | None = None) -> ProvenanceFacts:
    """Return where it comes from; ``predictions`` is a digest of the file with a secret key."""
    facts = source.provenance()
    return ProvenanceFacts(
        source=name,
        seed=seed,
        cohort=facts["cohort"],
        roles=source.roles_digest,
        weights=facts["weights"],
        predictions=predictions,
        threads=facts["threads"],
    )


def gains(
    attacks: Mapping[str, AttackFacts], attempts: Sequence[Scored], member: Bool[np.ndarray, " subjects"]
) -> list[Difference]:
    """Return what each attack on the weights adds over the outputs, on the same subjects and draws."""
    scored = {s.attack: s for s in attempts}
    if _REFERENCE_ATTACK not in scored:
        return []
    return [
        paired(scored[name], scored[_REFERENCE_ATTACK], member)
        for name, attack in attacks.items()
        if attack.access != "outputs" and attack.fitted
    ]
