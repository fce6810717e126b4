"""What audit.json says of a federation: its parties, every pair, the rounds, and whose people these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.attacks import Attack, UpdateAttack
from memberscan.attacks.parties import by_learners
from memberscan.attacks.updates import LeastSquares, mean_over_rounds
from memberscan.auditing import disclosure
from memberscan.auditing.party import Party, View
from memberscan.auditing.source import RunSource, Source
from memberscan.auditing.sources import image_baseline, source_inference, taking_part
from memberscan.errors import TooFewSubjectsError
from memberscan.evidence.estimates import estimate_accuracies, estimate_aucs
from memberscan.evidence.intervals import LEVEL
from memberscan.evidence.pairs import pair_results
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.scores import Scores
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


def of_outsider(target: Source, smallest: int) -> dict[str, Any] | None:
    """Return what is known of the federation whose final model an outsider attacks; None if none."""
    if not isinstance(target, RunSource) or target.run.federation is None:
        return None
    nobody: dict[str, Any] = {"pairs": [], "victims": [], "by_round": [], "coverage": [], "sources": None}
    return {**_facts(target, target.run.transcript, Attacker.OUTSIDER, 0, smallest), **nobody}


def of_party(
    party: Party,
    attacks: Mapping[str, Attack | UpdateAttack],
    view: View,
    scored: Sequence[Scores],
    strongest: str | None,
    blinds: Mapping[str, Blind],
    smallest: int,
) -> dict[str, Any]:
    """Return all that is said of the federation beside the findings, as it stands in audit.json."""
    return {
        **_facts(party.target, party.transcript, party.attacker, int(party.who.known.sum()), smallest),
        "pairs": _pairs(party, attacks, scored, smallest),
        "victims": _victims(blinds, smallest),
        "by_round": _by_round(party, attacks, view, strongest),
        "coverage": [
            row
            for a in attacks.values()
            if isinstance(a, LeastSquares)
            for row in _coverage(party, a, view, smallest)
        ],
        "sources": _sources(party, view),
    }


def _facts(
    target: RunSource, transcript: Transcript, attacker: Attacker, known: int, smallest: int
) -> dict[str, Any]:
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
        "learners": _learners(age_table(target.cohort, target.run.roles), smallest),
        "left_out": [
            {"round": r.number, "learner": name, "reason": reason}
            for r in transcript.rounds
            for name, reason in r.left_out.items()
        ],
    }


def _learners(table: pd.DataFrame, smallest: int) -> list[dict[str, Any]]:
    """Return the learners, without numbers and ages that could reveal a small group of people."""
    rows, hides = [], _uncounted(table, smallest)
    for name, members, mean, spread in table.itertuples(index=False):
        facts = (
            (None, None, None) if name in hides else (members, *disclosure.mean_age(mean, spread, members))
        )
        rows.append({"name": name, **dict(zip(("members", "age_mean", "age_sd"), facts, strict=True))})
    return rows


def _uncounted(table: pd.DataFrame, smallest: int) -> set[str]:
    """Return the learners whose number of people is hidden, so that it cannot be found by subtraction."""
    hides = disclosure.hidden([(n,) for n in table["members"]], smallest)
    return {name for name, hide in zip(table["name"], hides, strict=True) if hide}


def _pairs(
    party: Party,
    attacks: Mapping[str, Attack | UpdateAttack],
    scored: Sequence[Scores],
    smallest: int,
) -> list[dict[str, Any]]:
    # An audit of predictions must not pay for torch.
    from memberscan.federation.environments import age_table

    rows = []
    uncounted = _uncounted(age_table(party.target.cohort, party.target.run.roles), smallest)
    for attack in scored:
        for result in pair_results(attack, seeds.generator(party.seed, "pairs", attack.attack)):
            row = result.to_dict()
            if min(result.members, result.nonmembers) < smallest:
                row |= dict.fromkeys(("members", "nonmembers", "auc", "accuracy", "p_value", "p_holm"))
                row |= {"reason": f"fewer than {smallest} people on a side"}
            elif result.victim in uncounted:
                row["members"] = None
            for key in ("auc", "accuracy"):
                row[key] = None if row[key] is None else {**row[key], "level": LEVEL}
            if result.victim not in attack.seen:
                row["reason"] = party.unseen(attacks[attack.attack], result.victim)
            rows.append(row)
    return rows


def _victims(blinds: Mapping[str, Blind], smallest: int) -> list[dict[str, Any]]:
    rows = []
    for name, check in blinds.items():
        enough = min(check.sides) >= smallest
        auc = disclosure.fraction(check.auc, disclosure.chance_error(check.sides)) if enough else None
        tripped = check.tripped and enough
        rows.append(
            {
                "name": name,
                "auc": auc,
                "p_value": check.p_value if enough else None,
                "tripped": tripped,
                "gates": check.gates and enough,
                "worst": check.worst if tripped else None,
            }
        )
    return rows


def _by_round(
    party: Party, attacks: Mapping[str, Attack | UpdateAttack], view: View, strongest: str | None
) -> list[dict[str, Any]]:
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
        errors = _errors(party, pairs, "round", number)
        auc, accuracy = estimate_aucs([pairs], errors).intervals[0], estimate_accuracies([pairs], errors)[0]
        intervals = {"auc": auc.to_dict(), "accuracy": accuracy.to_dict()}
        rows.append({"round": number, "attack": attack.name, **intervals})
    return rows


def _signals(view: View, k: int) -> Signals:
    """Return what an attacker sees who has the predictions of one round only."""
    return Signals(view.final.scans, {PREDICTION: view.final.arrays[ROUND_PREDICTIONS][:, k]})


def _coverage(party: Party, attack: LeastSquares, view: View, smallest: int) -> list[dict[str, Any]]:
    """Return how an attack on all candidates at once does if only a share of the members is among them."""
    who, rows = party.who, []
    order = seeds.generator(party.seed, "coverage").permutation(len(who.subjects))
    for share in COVERAGE:
        kept = ~who.member
        for home in range(len(who.victims)):
            own = order[who.home[order] == home]
            kept[own[: max(1, round(share * len(own)))]] = True
        if int((kept & who.member).sum()) < smallest:
            continue
        scans = kept[who.subject]
        scores = np.full((len(who.subject), len(who.victims)), np.nan)
        scores[scans] = party.of_victims(attack.score(view.seen.of(scans)), view)
        pairs = party.scored(attack.name, scores)
        try:
            errors = _errors(party, pairs, "coverage", str(share))
        except TooFewSubjectsError:
            continue
        auc = estimate_aucs([pairs], errors).intervals[0]
        rows.append({"attack": attack.name, "coverage": share, "auc": auc.to_dict()})
    return rows


def _errors(party: Party, pairs: Scores, *names: str | int) -> Resampling:
    return Resampling.draw([pairs], seeds.generator(party.seed, *names), resamples=RESAMPLES)


def _sources(party: Party, view: View) -> dict[str, Any] | None:
    """Return how well the server says which learner holds a member, against a look at the inputs alone."""
    if view.updates is None or party.attacker is Attacker.AGGREGATE or len(party.who.victims) < 2:
        return None
    inferred = source_inference(view.updates, party.who)
    if inferred is None:
        return None
    ids = view.final.scans.index.tolist()
    learners = taking_part(view.updates, party.who)
    baseline = image_baseline(party.target.cohort, ids, party.who, learners)
    # Two digits: the share of the largest learner, and not its number of people.
    return {**inferred, "chance": round(inferred["chance"], 2), "blind": baseline, "blind_name": "inputs"}
