"""The audit of a federation: what one of its parties learns about the others' people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memberscan import seeds
from memberscan.attacks import Attack, UpdateAttack
from memberscan.attacks.campaign import one_thread
from memberscan.attacks.parties import HELD_OUT, Parties
from memberscan.auditing import federation
from memberscan.auditing.content import Outcome
from memberscan.auditing.party import Party
from memberscan.auditing.runnable import NOTHING_SEEN, runnable
from memberscan.auditing.source import RunSource
from memberscan.auditing.subjects import Subjects
from memberscan.evidence.blind import Blind, blind_check
from memberscan.evidence.estimates import Estimates, estimate_aucs
from memberscan.evidence.findings import collect_findings
from memberscan.evidence.gap import gap_baseline
from memberscan.evidence.pairs import placements
from memberscan.evidence.permutation import permuted_aucs, permuted_null
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.scores import Scores
from memberscan.evidence.strata import Strata, estimate_within_strata
from memberscan.evidence.verdict import Sides, judge, nothing_seen
from memberscan.signals.plausible import require_years
from memberscan.signals.signals import PREDICTION
from memberscan.signals.updates import AGGREGATE
from memberscan.threat import ThreatModel

PERMUTATIONS = 499
RESAMPLES = 1000


def audit_party(
    party: Party, name: str, chosen: Sequence[Attack | UpdateAttack], directory: Path, smallest: int
) -> Outcome:
    """Audit a federated run as one of its parties.

    The attackers know the same held-out subjects, drawn once; all others are scored in every pair.

    Raises
    ------
    BadInputError
        If no attack can be run, or sees anything, for another reason than encryption.
    """
    not_run = {a.name: reason for a in chosen if (reason := party.obstacle(a))}
    attacks = {} if party.sees_ciphertexts else runnable(chosen, not_run)
    view = party.see(attacks, directory)
    require_years(view.final.scans["age"].to_numpy(float), np.asarray(view.final.arrays[PREDICTION]))
    people = Subjects.summarise(party.target, view.final, party.who)
    blinds = _blind_victims(party, people)
    with one_thread():
        carried_out = [party.carry_out(a, view) for a in attacks.values()]
        scored = [attack for attack in carried_out if attack.seen]
        if carried_out:
            not_run |= {a.attack: NOTHING_SEEN for a in carried_out if not a.seen}
            attacks = runnable(chosen, not_run)
        seen = _seen(scored, party.who)
        worst = max((blinds[v] for v in seen), key=lambda b: (b.gates, b.tripped, b.auc or 0.0))
        facts = _weigh(scored, party.who, blinds, worst, party.seed)
        joint = facts["estimates"]
        strongest = None if joint is None else joint.attacks[joint.strongest]
        about = federation.of_party(party, attacks, view, scored, strongest, blinds, smallest)
    return Outcome(
        source=party.target,
        name=name,
        threat=party.threat,
        known_per_side=int(party.who.known.sum()),
        attacks=attacks,
        not_run=not_run,
        subjects=people,
        seed=party.seed,
        blind=worst,
        gap=gap_baseline(people.mean_square, people.member, seeds.generator(party.seed, "gap")),
        gains=[],
        federation=about,
        smallest_cell=smallest,
        **facts,
    )


def attempt(
    target: RunSource, attack: Attack | UpdateAttack, threat: ThreatModel, directory: Path, seed: int
) -> tuple[Scores, Parties]:
    """Carry out one attack as one party, and nothing else: what two parties show is compared by their scores.

    With the same ``leaked`` and seed, every party knows, and scores, the same people.
    """
    party = Party.open(target, threat, seed)
    view = party.see({attack.name: attack}, directory)
    with one_thread():
        return party.carry_out(attack, view), party.who


def _blind_victims(party: Party, people: Subjects) -> dict[str, Blind]:
    """Try to tell each victim's people from the held-out ones without any model."""
    # Who is held out of a federation of ours is drawn at random, whoever holds the others.
    drawn = bool((party.target.run.federation or {}).get("environment"))
    checks = {}
    for v, victim in enumerate(party.who.victims):
        asked = (party.who.home == v) | (party.who.home == HELD_OUT)
        checks[victim] = blind_check(
            people.covariates[asked],
            (party.who.home == v)[asked],
            seeds.generator(party.seed, "blind", victim),
            randomised=party.target.run.randomised or (victim == AGGREGATE and drawn),
        )
    return checks


def _seen(scored: Sequence[Scores], parties: Parties) -> tuple[str, ...]:
    """Return the victims of whom some attack saw something; where there was no attack, all of them."""
    seen = {victim for attack in scored for victim in attack.seen}
    return tuple(victim for victim in parties.victims if victim in seen or not scored)


def _weigh(
    scored: Sequence[Scores], parties: Parties, blinds: Mapping[str, Blind], worst: Blind, seed: int
) -> dict[str, Any]:
    """Weigh what the attacks show over all pairs; the keys are those of :class:`Outcome`."""
    if not scored:
        nothing = {"estimates": None, "null": None, "within": None, "findings": (), "scored": ()}
        return {**nothing, "verdict": nothing_seen()}
    errors = Resampling.draw(scored, seeds.generator(seed, "pooled"), resamples=RESAMPLES)
    estimates = estimate_aucs(scored, errors)
    null = permuted_null(estimates, permuted_aucs(scored, seeds.generator(seed, "null"), PERMUTATIONS))
    within: Estimates | None = None
    sides = None
    if worst.gates:
        gating = [victim for victim in _seen(scored, parties) if blinds[victim].gates]
        sides = Sides(
            f"The people of {', '.join(gating)} and those held out",
            "Hold out people of each learner's own kind, and audit again.",
        )
        strata = {
            victim: Strata.of_check(blinds[victim], (parties.home == v) | (parties.home == HELD_OUT))
            for v, victim in enumerate(parties.victims)
        }
        resampled = Resampling.draw(scored, seeds.generator(seed, "within"), resamples=RESAMPLES)
        within = estimate_within_strata(scored, strata, resampled)
    return {
        "estimates": estimates,
        "null": null,
        "within": within,
        "findings": collect_findings(scored, estimates, errors),
        "scored": [placements(attack) for attack in scored],
        "verdict": judge(estimates, null, worst, within, sides=sides),
    }
