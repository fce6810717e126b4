"""The audit of a federation: what one of its parties learns about the others' people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memberscan import seeds
from memberscan.attacks import Attack, UpdateAttack
from memberscan.attacks.campaign import one_thread
from memberscan.attacks.parties import Parties
from memberscan.auditing import federation_facts
from memberscan.auditing.facts import Audited, common_facts, provenance_facts, threat_facts
from memberscan.auditing.party import Party
from memberscan.auditing.runnable import NOTHING_SEEN, runnable
from memberscan.auditing.source import RunSource
from memberscan.auditing.subjects import Subjects
from memberscan.evidence.blind import Blind, blind
from memberscan.evidence.gap import gap
from memberscan.evidence.groups import JudgedScores
from memberscan.evidence.joint import Joint
from memberscan.evidence.pairs import HELD_OUT, PairScores
from memberscan.evidence.permutation import permuted_null
from memberscan.evidence.pooled import permuted_pooled, pooled, pooled_findings
from memberscan.evidence.verdict import Basis, Sides, judge, nothing_seen
from memberscan.evidence.within_pairs import placements, placements_among_alike, within_pairs
from memberscan.report.outcome import Outcome
from memberscan.signals.plausible import require_years
from memberscan.signals.signals import PREDICTION
from memberscan.signals.updates import AGGREGATE
from memberscan.threat import ThreatModel

PERMUTATIONS = 499
RESAMPLES = 1000


def audit_party(
    party: Party, name: str, chosen: Sequence[Attack | UpdateAttack], directory: Path, smallest: int
) -> Audited:
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
        evidence = _weigh(scored, party.who, blinds, worst, party.seed)
        strongest = evidence["verdict"].basis.attack
        about = federation_facts.of_party(party, attacks, view, scored, strongest, blinds)
    outcome = Outcome(
        # Nobody but a learner knows of anybody that it was trained on.
        threat=threat_facts(party.threat, 0, int(party.who.known.sum())),
        provenance=provenance_facts(party.target, name, party.seed),
        not_run=not_run,
        blind=worst,
        gap=gap(people.mean_square, people.member, seeds.generator(party.seed, "gap")),
        federation=about,
        smallest_cell=smallest,
        **common_facts(party.target, people, attacks, party.threat),
        **evidence,
    )
    placed = [placements(attack, party.who.home) for attack in scored]
    return Audited(outcome, party.target, people, placed)


def attempt(
    target: RunSource, attack: Attack | UpdateAttack, threat: ThreatModel, directory: Path, seed: int
) -> tuple[PairScores, Parties]:
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
        checks[victim] = blind(
            people.covariates[asked],
            (party.who.home == v)[asked],
            seeds.generator(party.seed, "blind", victim),
            randomised=party.target.run.randomised or (victim == AGGREGATE and drawn),
        )
    return checks


def _seen(scored: Sequence[PairScores], parties: Parties) -> tuple[str, ...]:
    """Return the victims of whom some attack saw something; where there was no attack, all of them."""
    seen = {victim for attack in scored for victim in attack.seen}
    return tuple(victim for victim in parties.victims if victim in seen or not scored)


def _weigh(
    scored: Sequence[PairScores], parties: Parties, blinds: Mapping[str, Blind], worst: Blind, seed: int
) -> dict[str, Any]:
    """Weigh what the attacks show over all pairs; the keys are those of :class:`Outcome`."""
    if not scored:
        nothing = {"null": None, "within": None, "findings": (), "exposed": None}
        return {**nothing, "verdict": nothing_seen()}
    pool = pooled(scored, parties.home, seeds.generator(seed, "pooled"), resamples=RESAMPLES)
    permuted = permuted_pooled(scored, parties.home, seeds.generator(seed, "null"), PERMUTATIONS)
    null = permuted_null(pool.joint, permuted)
    within: Joint | None = None
    sides = None
    if worst.gates:
        gating = [victim for victim in _seen(scored, parties) if blinds[victim].gates]
        sides = Sides(
            f"The people of {', '.join(gating)} and those held out",
            "Hold out people of each learner's own kind, and audit again.",
        )
        within = within_pairs(
            scored,
            parties.home,
            [blinds[v].strata for v in parties.victims],
            [blinds[v].features for v in parties.victims],
            seeds.generator(seed, "within"),
        )
    verdict = judge(pool.joint, null, worst, within, sides=sides)
    return {
        "null": null,
        "within": within,
        "findings": pooled_findings(scored, parties.home, pool),
        "verdict": verdict,
        "exposed": _exposed(scored, parties, blinds, verdict.basis),
    }


def _exposed(
    scored: Sequence[PairScores], parties: Parties, blinds: Mapping[str, Blind], basis: Basis
) -> JudgedScores:
    """Return the scores of the strongest attack, as the verdict judges them, on one scale for all pairs."""
    (strongest,) = (attack for attack in scored if attack.attack == basis.attack)
    if basis.rule != "within strata":
        return JudgedScores(placements(strongest, parties.home))
    alike = placements_among_alike(
        strongest,
        parties.home,
        [blinds[v].strata for v in parties.victims],
        [blinds[v].features for v in parties.victims],
    )
    return JudgedScores(alike)
