"""The audit: from a run or a file of predictions to a result, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.attacks import ATTACKS_OF, Attack, UpdateAttack, named
from memberscan.attacks.campaign import Campaign, one_thread
from memberscan.auditing.computing import computing
from memberscan.auditing.content import Outcome, content, gains
from memberscan.auditing.disclosure import SMALLEST_CELL, require_cell
from memberscan.auditing.federated import audit_party
from memberscan.auditing.federation import of_outsider
from memberscan.auditing.party import Party
from memberscan.auditing.result import DONE, AuditResult
from memberscan.auditing.runnable import SAME_FOR_ALL, runnable
from memberscan.auditing.scratch import scratch
from memberscan.auditing.source import Source, open_source
from memberscan.auditing.subjects import Subjects, sides_of_scans
from memberscan.auditing.tables import SALT, matched_table, scores_table
from memberscan.errors import BadInputError, TooFewSubjectsError
from memberscan.evidence.admissible import copies_of_membership
from memberscan.evidence.blind import blind
from memberscan.evidence.confounding import within_strata
from memberscan.evidence.findings import findings
from memberscan.evidence.gap import gap
from memberscan.evidence.joint import Joint, joint
from memberscan.evidence.permutation import normal_null, permuted_null
from memberscan.evidence.scored import FEWEST
from memberscan.evidence.verdict import judge
from memberscan.files import claim
from memberscan.salts import get_or_create, keyed
from memberscan.signals.plausible import require_years
from memberscan.signals.signals import PREDICTION
from memberscan.threat import Attacker, ThreatModel

_NO_UPDATES = "needs the learners' updates; an outsider sees the final model only (--attacker server)"
LARGEST_PERMUTED = 1000
"""Up to this many subjects attacks are refitted with membership permuted; above, the closed form serves."""


def audit(
    source: Path | str,
    directory: Path | str | None = None,
    *,
    threat: ThreatModel | None = None,
    attacks: Sequence[str | Attack | UpdateAttack] = (),
    cohort: Path | str | None = None,
    model: str | None = None,
    pseudonyms: bool = False,
    smallest_cell: int = SMALLEST_CELL,
    device: str = "auto",
    seed: int = 0,
) -> AuditResult:
    """Audit a model: can its members be told from its non-members?

    Parameters
    ----------
    source
        A run directory, or a TSV or CSV of predictions (columns subject_id, age, prediction, member).
    directory
        Where the result is kept; an unfinished audit there is resumed, a finished one returned as it is.
        Without one nothing is kept until :meth:`AuditResult.save`, and there are no pseudonyms.
    threat
        Who attacks, and what it has; by default an outsider with the outputs, and half of the smaller side
        known.
    attacks
        Names of attacks, or attacks of your own; by default all that this attacker could try.
    cohort
        The run's cohort, where it was moved.
    model
        ``package.module:factory`` of a run whose network is not one of ours. It must be the one that
        the run names; the code runs only because it is named here.
    pseudonyms
        Whether ``scores.tsv`` names subjects, by salted pseudonyms whose key is kept beside it.
    smallest_cell
        Fewest people on each side of a group that is reported, at least 5: smaller ones are joined
        or hidden.
    device
        What a run's model is computed on: auto, cpu or cuda. A finished audit is returned whatever it says.
    seed
        Root seed of every draw; not negative.

    Raises
    ------
    MemberscanError
        One of its kinds, saying what to do: see :mod:`memberscan.errors`.
    """
    threat, source = threat or ThreatModel(), Path(source)
    names = attacks or ATTACKS_OF[threat.attacker]
    chosen = [a if isinstance(a, (Attack, UpdateAttack)) else named(a) for a in names]
    _require_sense(chosen, seed, pseudonyms=pseudonyms, kept=directory is not None)
    target = open_source(source, Path(cohort) if cohort else None, model)
    with computing(target, device):
        return _audit(target, source, directory, threat, chosen, pseudonyms, smallest_cell, seed)


def _audit(
    target: Source,
    source: Path,
    directory: Path | str | None,
    threat: ThreatModel,
    chosen: Sequence[Attack | UpdateAttack],
    pseudonyms: bool,
    smallest_cell: int,
    seed: int,
) -> AuditResult:
    require_cell(smallest_cell)
    _require_both_sides(target, smallest_cell)
    copies_of_membership(target.covariates, sides_of_scans(target))
    if threat.attacker is not Attacker.OUTSIDER:
        Party.open(target, threat, seed)
    request = {
        "command": "audit",
        **target.provenance(),
        "threat": threat.to_dict(),
        "attacks": [a.name for a in chosen],
        "pseudonyms": pseudonyms,
        "smallest_cell": smallest_cell,
        "seed": seed,
    }
    name = source.resolve().name
    if directory is None:
        with scratch() as temporary:
            outcome = _outcome(target, name, chosen, threat, temporary, seed, smallest_cell)
            return _result(outcome, None)
    directory = Path(directory)
    with claim(directory, request, done=DONE) as finished:
        if finished:
            return AuditResult.load(directory)
        outcome = _outcome(target, name, chosen, threat, directory, seed, smallest_cell)
        if digest := request["predictions"]:
            outcome = dataclasses.replace(outcome, digest=keyed(get_or_create(directory / SALT), digest))
        result = _result(outcome, directory if pseudonyms else None)
        result.save(directory)
    return result


def measure(
    source: Path,
    directory: Path,
    *,
    threat: ThreatModel,
    attacks: Sequence[str] = (),
    seed: int = 0,
) -> Outcome:
    """Return the unrounded outcome of an audit of a run, for studies of synthetic people.

    Only signals are written. Results about real people are published by :func:`audit`.
    """
    target = open_source(source, None)
    _require_both_sides(target, SMALLEST_CELL)
    chosen = [named(name) for name in attacks or ATTACKS_OF[threat.attacker]]
    directory.mkdir(parents=True, exist_ok=True)
    return _outcome(target, source.name, chosen, threat, directory, seed, SMALLEST_CELL)


def _outcome(
    target: Source,
    name: str,
    chosen: Sequence[Attack | UpdateAttack],
    threat: ThreatModel,
    directory: Path,
    seed: int,
    smallest: int,
) -> Outcome:
    if threat.attacker is not Attacker.OUTSIDER:
        return audit_party(Party.open(target, threat, seed), name, chosen, directory, smallest)
    return _audit_model(target, name, chosen, threat, directory, seed, smallest)


def _result(outcome: Outcome, pseudonyms: Path | None) -> AuditResult:
    people, matched = outcome.subjects, pd.DataFrame()
    confounded = outcome.verdict.label == "confounded" and outcome.threat.attacker is Attacker.OUTSIDER
    if confounded and outcome.blind.pairs is not None:
        matched = matched_table(outcome.source, people.ids, outcome.blind.matched)
    scores = scores_table(people.ids, people.member, outcome.scored, pseudonyms)
    return AuditResult(content(outcome), scores, matched)


def _audit_model(
    target: Source,
    name: str,
    everything: Sequence[Attack | UpdateAttack],
    threat: ThreatModel,
    directory: Path,
    seed: int,
    smallest: int,
) -> Outcome:
    """Audit the final model, as somebody outside sees it."""
    chosen = [a for a in everything if isinstance(a, Attack)]
    known = threat.known_per_side(int(target.member.sum()), int((~target.member).sum()))
    not_run = {a.name: reason for a in chosen if (reason := _obstacle(a, target, threat, known))}
    not_run |= {a.name: _NO_UPDATES for a in everything if isinstance(a, UpdateAttack)}
    attacks = runnable(chosen, not_run)
    signals = target.signals([a.needs for a in attacks.values()], directory / "signals")
    require_years(signals.scans["age"].to_numpy(float), np.asarray(signals.arrays[PREDICTION]))
    campaign = Campaign.observe(attacks.values(), signals, target.member, threat, seed)
    not_run |= {o.attack.name: SAME_FOR_ALL for o in campaign.attacks if not o.features.vary}
    attacks = runnable(chosen, not_run)
    campaign = dataclasses.replace(campaign, attacks=[o for o in campaign.attacks if o.features.vary])
    people = Subjects.summarise(target, signals, campaign)
    with one_thread():
        facts = _weigh(campaign, people, seed, randomised=target.describe()["randomised"])
    return Outcome(
        source=target,
        name=name,
        # What the source cannot show, the attacker did not have.
        threat=dataclasses.replace(threat, access=min(threat.access, target.shows)),
        known_per_side=known,
        attacks=attacks,
        not_run=not_run,
        subjects=people,
        seed=seed,
        gains=gains(attacks, facts["scored"], people.member),
        federation=of_outsider(target, smallest),
        smallest_cell=smallest,
        **facts,
    )


def _weigh(campaign: Campaign, people: Subjects, seed: int, *, randomised: bool) -> dict[str, Any]:
    """Carry out the attacks and weigh what they show; the keys are those of :class:`Outcome`."""
    scored = campaign.scored()
    estimates = joint(scored, people.member)
    if len(people.member) <= LARGEST_PERMUTED:
        null = permuted_null(estimates, campaign.null(_permutations(estimates)))
    else:
        null = normal_null(estimates)
    check = blind(people.covariates, people.member, seeds.generator(seed, "blind"), randomised=randomised)
    within = within_strata(scored, people.member, check.strata, check.features) if check.gates else None
    return {
        "scored": scored,
        "findings": findings(scored, people.member, estimates),
        "estimates": estimates,
        "null": null,
        "blind": check,
        "within": within,
        "gap": gap(people.mean_square, people.member, seeds.generator(seed, "gap")),
        "verdict": judge(estimates, null, check, within),
    }


def _require_sense(
    attacks: Sequence[Attack | UpdateAttack], seed: int, *, pseudonyms: bool, kept: bool
) -> None:
    names = [a.name for a in attacks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInputError(f"attack {twice[0]!r} is asked for twice; name each attack once")
    if seed < 0:
        raise BadInputError(f"seed is {seed}; give a whole number from 0")
    if pseudonyms and not kept:
        raise BadInputError("pseudonyms need a directory to keep their key in; give one")


def _require_both_sides(target: Source, smallest_cell: int) -> None:
    members, fewest = int(target.member.sum()), max(FEWEST, smallest_cell)
    others = len(target.member) - members
    if min(members, others) < fewest:
        raise TooFewSubjectsError(
            f"there are {members} members and {others} non-members with scans; "
            f"an audit needs at least {fewest} of each"
        )


def _obstacle(attack: Attack, target: Source, threat: ThreatModel, known: int) -> str | None:
    """Return why an attack cannot be run on this target by this attacker, or None."""
    if lacking := target.lacks(attack.needs):
        return lacking
    access = attack.needs.access
    if attack.needs.rounds:
        return "needs every round's global model; an outsider sees the final model only (--attacker learner)"
    if access > threat.access:
        return f"needs access to {access}; this audit assumes {threat.access} only (--access {access})"
    if attack.needs.leaked and not known:
        return "learns from subjects whose membership is known, and this audit assumes none (--leaked 0.5)"
    return target.hides(attack.needs)


def _permutations(estimates: Joint) -> int:
    """Return how many permutations: more where p-values decide, and each costs little."""
    return 199 if estimates.fewest < 150 else 99
