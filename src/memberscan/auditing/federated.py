"""The audit of a federation: what one of its parties learns about the others' people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.attacks import Attack, UpdateAttack
from memberscan.attacks.campaign import one_thread
from memberscan.attacks.parties import Parties, by_learners, by_one
from memberscan.auditing.ascents import ascents, cannot_simulate
from memberscan.auditing.content import Outcome
from memberscan.auditing.source import RunSource, Source
from memberscan.auditing.sources import image_baseline, source_inference
from memberscan.auditing.subjects import Subjects
from memberscan.errors import BadInputError, RolesError, TooFewSubjectsError
from memberscan.evidence.blind import Blind, blind
from memberscan.evidence.gap import gap
from memberscan.evidence.joint import Joint
from memberscan.evidence.pairs import HELD_OUT, PairScores, pair_results
from memberscan.evidence.permutation import permuted_null
from memberscan.evidence.pooled import permuted_pooled, pooled, pooled_findings
from memberscan.evidence.scored import FEWEST
from memberscan.evidence.verdict import Sides, judge, nothing_seen
from memberscan.evidence.within_pairs import placements, within_pairs
from memberscan.signals.plausible import require_years
from memberscan.signals.signals import PREDICTION, ROUND_PREDICTIONS, Signals
from memberscan.signals.updates import AGGREGATE, Updates
from memberscan.threat import Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.runs import Transcript

PERMUTATIONS = 499
RESAMPLES = 1000
RESAMPLES_A_ROUND = 200
COVERAGE = (0.25, 0.5, 0.75, 1.0)
_ALONG = "prediction+label"
"""The learner's attack that is followed from round to round: the paper's first."""


@dataclass(frozen=True, eq=False)
class View:
    """What an attacker sees of all scans.

    Parameters
    ----------
    final
        Signals of the final global model, and the predictions of each round's.
    updates
        What the updates show, or the answers to an active server's broadcasts; None for a learner.
    rounds
        The rounds that it looks at; an active server's broadcasts come after the federation's.
    """

    final: Signals
    updates: Updates | None
    rounds: tuple[int, ...]


def audit_party(
    target: RunSource,
    name: str,
    chosen: Sequence[Attack | UpdateAttack],
    threat: ThreatModel,
    directory: Path,
    seed: int,
) -> Outcome:
    """Audit a federated run as one of its parties.

    The attackers know the same held-out subjects, drawn once; all others are scored in every pair.

    Raises
    ------
    BadInputError
        If the run is not of a federation, or no attack can be run for another reason than encryption.
    RolesError
        If a member is held by nobody, or by a learner that the transcript does not name.
    TooFewSubjectsError
        If fewer than ten held-out subjects are left to score.
    """
    transcript, rounds = _rounds(target, threat)
    parties = _parties(target, transcript, threat, seed)
    reasons = {a.name: _obstacle(a, target, transcript, threat, parties) for a in chosen}
    not_run = {attack: reason for attack, reason in reasons.items() if reason}
    attacks = {a.name: a for a in chosen if a.name not in not_run}
    encrypted = _encrypted(transcript, threat.attacker)
    if not attacks and not encrypted:
        listed = "; ".join(f"{attack} {reason}" for attack, reason in not_run.items())
        raise BadInputError(f"none of the attacks can be run: {listed}")
    view = _view(target, transcript, attacks, threat, rounds, parties, directory, seed)
    require_years(view.final.scans["age"].to_numpy(float), np.asarray(view.final.arrays[PREDICTION]))
    people = Subjects.summarise(target, view.final, parties)
    blinds = _blind_victims(target, people, parties, seed)
    worst = max(blinds.values(), key=lambda b: (b.gates, b.tripped, b.auc or 0.0))
    with one_thread():
        scored = [_carry_out(a, view, parties, transcript, threat) for a in attacks.values()]
        facts = _weigh(scored, parties, blinds, worst, seed)
        federation = {
            **_federation(target, transcript, threat.attacker, int(parties.known.sum())),
            "pairs": _pairs(scored, parties, seed),
            "victims": _victims(blinds),
            "by_round": _by_round(attacks, scored, view, parties, transcript, facts["estimates"], seed),
            "coverage": _coverage(attacks, view, parties, threat, seed),
            "sources": _sources(target, view, parties, threat),
        }
    return Outcome(
        source=target,
        name=name,
        threat=threat,
        known_per_side=int(parties.known.sum()),
        attacks=attacks,
        not_run=not_run,
        subjects=people,
        seed=seed,
        blind=worst,
        gap=gap(people.mean_square, people.member, seeds.generator(seed, "gap")),
        gains=[],
        federation=federation,
        **facts,
    )


def require_party(target: Source, threat: ThreatModel, seed: int) -> None:
    """Refuse what cannot be audited as this party, before anything is written.

    Raises
    ------
    BadInputError, TooFewSubjectsError
        See :func:`audit_party`.
    """
    if not isinstance(target, RunSource):
        raise BadInputError(
            f"a {threat.attacker} is a party of a federation, and a predictions file shows none; audit a run"
        )
    transcript, _ = _rounds(target, threat)
    _parties(target, transcript, threat, seed)


def attempt(
    target: RunSource,
    chosen: Sequence[Attack | UpdateAttack],
    threat: ThreatModel,
    directory: Path,
    seed: int,
) -> tuple[list[PairScores], Parties]:
    """Carry out attacks as one party, and nothing else: what two parties show is compared by their scores.

    With the same ``leaked`` and seed, every party knows, and scores, the same people.
    """
    transcript, rounds = _rounds(target, threat)
    parties = _parties(target, transcript, threat, seed)
    view = _view(target, transcript, {a.name: a for a in chosen}, threat, rounds, parties, directory, seed)
    with one_thread():
        return [_carry_out(a, view, parties, transcript, threat) for a in chosen], parties


def _rounds(target: RunSource, threat: ThreatModel) -> tuple[Transcript, tuple[int, ...]]:
    if target.run.federation is None:
        raise BadInputError(
            f"the run {target.run.path} is not of a federation, so nobody is a party to it; audit it as an "
            "outsider (--attacker outsider), or federate first"
        )
    transcript = target.run.transcript
    if not transcript.rounds:
        raise BadInputError(f"{transcript.path} has no finished round; federate first")
    return transcript, threat.looks_at(len(transcript.rounds))


def federation_of_outsider(target: Source) -> dict[str, Any] | None:
    """Return what is known of the federation whose final model an outsider attacks; None if none."""
    if not isinstance(target, RunSource) or target.run.federation is None:
        return None
    nobody: dict[str, Any] = {"pairs": [], "victims": [], "by_round": [], "coverage": [], "sources": None}
    return {**_federation(target, target.run.transcript, Attacker.OUTSIDER, 0), **nobody}


def _encrypted(transcript: Transcript, attacker: Attacker) -> bool:
    return transcript.secure != "none" and attacker in (Attacker.SERVER, Attacker.ACTIVE_SERVER)


def _obstacle(
    attack: Attack | UpdateAttack,
    target: RunSource,
    transcript: Transcript,
    threat: ThreatModel,
    parties: Parties,
) -> str | None:
    """Return why an attack cannot be run by this party, or None."""
    if _encrypted(transcript, threat.attacker):
        return (
            "the updates were encrypted (ckks): the server saw ciphertexts only, and no model at all; it "
            "knows who took part and with how many scans"
        )
    updates = isinstance(attack, UpdateAttack)
    if updates != (threat.attacker is not Attacker.LEARNER):
        kind = "the learners' updates" if updates else "people of its own, as a learner has them"
        return f"needs {kind}; this attacker ({threat.attacker}) does not have them"
    active = threat.attacker is Attacker.ACTIVE_SERVER
    if attack.needs.active != active:
        return (
            "reads rounds that nobody meddled with (--attacker server)"
            if active
            else "needs a server that changes what it broadcasts (--attacker active-server)"
        )
    if active and (reason := cannot_simulate(target)):
        return reason
    others = 0 if threat.attacker is Attacker.AGGREGATE else len(transcript.learners) - 1
    if attack.needs.others > others:
        return f"compares with {attack.needs.others} other learners or more; this attacker sees {others}"
    if attack.needs.leaked and not parties.known.any():
        return "learns from held-out people that are known, and this audit assumes none (--leaked 0.5)"
    if attack.needs.leaked and len(parties.victims) < 2:
        return "learns from the attacking learner's own people, and only the victim's are here"
    return target.lacks(attack.needs)


def _parties(target: RunSource, transcript: Transcript, threat: ThreatModel, seed: int) -> Parties:
    """Say who is whose, and draw the held-out subjects that attackers know."""
    codes, names = pd.factorize(target.scans["subject_id"], sort=True)
    learner = target.run.roles.learner
    victims: tuple[str, ...] = tuple(n for n in transcript.learners if n in set(target.run.roles.learners))
    if not victims:
        raise BadInputError(
            f"no learner of the transcript ({', '.join(transcript.learners)}) holds a member in roles.tsv; "
            "its column learner must name them"
        )
    member = target.member.loc[names].to_numpy(bool)
    place = {name: k for k, name in enumerate(victims)}
    for subject in names[member]:
        if learner.get(subject) not in place:
            raise RolesError(
                f"member {subject!r} is held by {learner.get(subject, 'no learner')} in roles.tsv; the "
                f"transcript's learners are {', '.join(transcript.learners)}"
            )
    home = np.array([place[learner[s]] if m else HELD_OUT for s, m in zip(names, member, strict=True)])
    if threat.attacker is Attacker.AGGREGATE:
        victims, home = (AGGREGATE,), np.where(member, 0, HELD_OUT)
    outside = np.flatnonzero(~member)
    known = np.zeros(len(names), dtype=bool)
    count = int(threat.leaked * len(outside) + 1e-9)
    known[seeds.generator(seed, "known-held-out").choice(outside, count, replace=False)] = True
    if len(outside) - count < FEWEST:
        fewer = f", or let them know fewer (--leaked {int(100 * (1 - FEWEST / len(outside))) / 100:g})"
        raise TooFewSubjectsError(
            f"{len(outside)} people are held out, and attackers know {count} of them; at least {FEWEST} must "
            f"be left to score: hold out more{fewer if len(outside) >= FEWEST else ''}"
        )
    return Parties(tuple(names), codes.astype(np.int64), victims, home.astype(np.int64), known)


def _view(
    target: RunSource,
    transcript: Transcript,
    attacks: dict[str, Attack | UpdateAttack],
    threat: ThreatModel,
    rounds: tuple[int, ...],
    parties: Parties,
    directory: Path,
    seed: int,
) -> View:
    """Work out what the attacker sees; wide arrays stay in ``directory``."""
    needs = [a.needs for a in attacks.values() if isinstance(a, Attack)]
    final = target.signals(needs, directory / "signals")
    if threat.attacker is Attacker.LEARNER:
        by_round = target.predictions_by_round(transcript, rounds, directory / "signals" / "rounds")
        return View(
            dataclasses.replace(final, arrays={**final.arrays, ROUND_PREDICTIONS: by_round}), None, rounds
        )
    if not attacks:
        return View(final, None, rounds)
    if threat.attacker is Attacker.ACTIVE_SERVER:
        answers = ascents(target, parties, directory / "signals" / "active", seed)
        return View(final, answers, answers.rounds)
    aggregate = threat.attacker is Attacker.AGGREGATE
    updates = target.updates(transcript, rounds, directory / "signals" / "updates", aggregate=aggregate)
    return View(final, updates, rounds)


def _carry_out(
    attack: Attack | UpdateAttack, view: View, parties: Parties, transcript: Transcript, threat: ThreatModel
) -> PairScores:
    if isinstance(attack, Attack):
        return by_learners(attack, view.final, parties, transcript.learners)
    return by_one(
        attack.name, str(threat.attacker), _of_victims(attack.score(_seen(view)), view, parties), parties
    )


def _seen(view: View) -> Updates:
    assert view.updates is not None
    return view.updates


def _of_victims(scores: np.ndarray, view: View, parties: Parties) -> np.ndarray:
    """Return the columns of the victims, of scores of all learners."""
    return scores[..., [_seen(view).learners.index(v) for v in parties.victims]]


def _blind_victims(target: RunSource, people: Subjects, parties: Parties, seed: int) -> dict[str, Blind]:
    """Try to tell each victim's people from the held-out ones without any model."""
    # Who is held out of a federation of ours is drawn at random, whoever holds the others.
    drawn = bool((target.run.federation or {}).get("environment"))
    checks = {}
    for v, victim in enumerate(parties.victims):
        asked = (parties.home == v) | (parties.home == HELD_OUT)
        checks[victim] = blind(
            people.covariates[asked],
            (parties.home == v)[asked],
            seeds.generator(seed, "blind", victim),
            randomised=target.run.randomised or (victim == AGGREGATE and drawn),
        )
    return checks


def _weigh(
    scored: Sequence[PairScores], parties: Parties, blinds: dict[str, Blind], worst: Blind, seed: int
) -> dict[str, Any]:
    """Weigh what the attacks show over all pairs; the keys are those of :class:`Outcome`."""
    if not scored:
        nothing = {"estimates": None, "null": None, "within": None, "findings": (), "scored": ()}
        return {**nothing, "verdict": nothing_seen()}
    pool = pooled(scored, parties.home, seeds.generator(seed, "pooled"), resamples=RESAMPLES)
    permuted = permuted_pooled(scored, parties.home, seeds.generator(seed, "null"), PERMUTATIONS)
    null = permuted_null(pool.joint, permuted)
    within: Joint | None = None
    sides = None
    if worst.gates:
        gating = [victim for victim, check in blinds.items() if check.gates]
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
    return {
        "estimates": pool.joint,
        "null": null,
        "within": within,
        "findings": pooled_findings(scored, parties.home, pool),
        "scored": [placements(attack, parties.home) for attack in scored],
        "verdict": judge(pool.joint, null, worst, within, sides=sides),
    }


def _federation(target: RunSource, transcript: Transcript, attacker: Attacker, known: int) -> dict[str, Any]:
    # An audit of predictions must not pay for torch.
    from memberscan.federation.environments import age_table

    facts = target.run.federation or {}
    return {
        "attacker": str(attacker),
        "environment": facts.get("environment"),
        "secure": transcript.secure,
        "visible_to_server": transcript.secure == "none",
        "simulated": attacker is Attacker.ACTIVE_SERVER and transcript.secure == "none",
        "rounds": len(transcript.rounds),
        "local_epochs": facts.get("local_epochs"),
        "transcript": transcript.fingerprint,
        "known_nonmembers": known,
        "learners": age_table(target.cohort, target.run.roles).to_dict("records"),
        "left_out": [
            {"round": r.number, "learner": name, "reason": reason}
            for r in transcript.rounds
            for name, reason in r.left_out.items()
        ],
    }


def _pairs(scored: Sequence[PairScores], parties: Parties, seed: int) -> list[dict[str, Any]]:
    rows = []
    for attack in scored:
        for result in pair_results(attack, parties.home, seeds.generator(seed, "pairs", attack.attack)):
            row = result.to_dict()
            for key in ("auc", "accuracy"):
                row[key] = None if row[key] is None else {**row[key], "level": 0.95}
            rows.append(row)
    return rows


def _victims(blinds: dict[str, Blind]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "auc": check.auc,
            "p_value": check.p_value,
            "tripped": check.tripped,
            "gates": check.gates,
            "worst": check.worst if check.tripped else None,
        }
        for name, check in blinds.items()
    ]


def _by_round(
    attacks: dict[str, Attack | UpdateAttack],
    scored: Sequence[PairScores],
    view: View,
    parties: Parties,
    transcript: Transcript,
    estimates: Joint | None,
    seed: int,
) -> list[dict[str, Any]]:
    """Follow one attack over the rounds: a learner's in each round, a server's in all rounds up to each."""
    if estimates is None:
        return []
    name = _ALONG if _ALONG in attacks else scored[estimates.strongest].attack
    attack, rows = attacks[name], []
    each = None if isinstance(attack, Attack) else _of_victims(attack.by_round(_seen(view)), view, parties)
    for k, number in enumerate(view.rounds):
        if isinstance(attack, Attack):
            if attack.needs.rounds or attack.needs.layers or attack.needs.norms or attack.needs.activation:
                return []
            predictions = view.final.arrays[ROUND_PREDICTIONS][:, k]
            signals = Signals(view.final.scans, {PREDICTION: predictions})
            pairs = by_learners(attack, signals, parties, transcript.learners)
        else:
            from memberscan.attacks.updates import mean_over_rounds

            assert each is not None
            pairs = by_one(name, scored[0].attackers[0], mean_over_rounds(each[: k + 1]), parties)
        rng = seeds.generator(seed, "round", number)
        pool = pooled([pairs], parties.home, rng, resamples=RESAMPLES_A_ROUND)
        rows.append(
            {
                "round": number,
                "attack": name,
                "auc": pool.joint.intervals[0].to_dict(),
                "accuracy": pool.accuracy[0].to_dict(),
            }
        )
    return rows


def _coverage(
    attacks: dict[str, Attack | UpdateAttack], view: View, parties: Parties, threat: ThreatModel, seed: int
) -> list[dict[str, Any]]:
    """Return how an attack on all candidates at once does if only a share of the members is among them."""
    from memberscan.attacks.updates import LeastSquares

    rows = []
    for name, attack in attacks.items():
        if not isinstance(attack, LeastSquares):
            continue
        order = seeds.generator(seed, "coverage").permutation(len(parties.subjects))
        for share in COVERAGE:
            kept = ~parties.member
            for home in range(len(parties.victims)):
                its = [s for s in order if parties.home[s] == home]
                kept[its[: max(1, round(share * len(its)))]] = True
            scans = kept[parties.subject]
            scores = np.full((len(parties.subject), len(parties.victims)), np.nan)
            scores[scans] = _of_victims(attack.score(_seen(view).of(scans)), view, parties)
            try:
                pairs = by_one(name, str(threat.attacker), scores, parties)
                pool = pooled(
                    [pairs],
                    parties.home,
                    seeds.generator(seed, "coverage", str(share)),
                    resamples=RESAMPLES_A_ROUND,
                )
            except TooFewSubjectsError:
                continue
            rows.append({"attack": name, "coverage": share, "auc": pool.joint.intervals[0].to_dict()})
    return rows


def _sources(target: RunSource, view: View, parties: Parties, threat: ThreatModel) -> dict[str, Any] | None:
    """Return how well the server says which learner holds a member, against a look at the inputs alone."""
    if view.updates is None or threat.attacker is Attacker.AGGREGATE or len(parties.victims) < 2:
        return None
    inferred = source_inference(view.updates, parties)
    baseline = image_baseline(target.cohort, view.final.scans.index.tolist(), parties)
    return {**inferred, "blind": baseline, "blind_name": "inputs"}
