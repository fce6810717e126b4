"""From what an audit worked out to the content of audit.json: nothing about single people."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from memberscan import __version__
from memberscan.attacks import Attack, UpdateAttack
from memberscan.auditing import disclosure
from memberscan.auditing.exposure import exposure, residual_bands
from memberscan.auditing.source import Source
from memberscan.auditing.subjects import Subjects
from memberscan.evidence.blind import Blind
from memberscan.evidence.estimates import SIMULTANEOUS_LEVEL, Estimates, paired_difference
from memberscan.evidence.findings import Finding
from memberscan.evidence.gap import Gap, accuracy_of_ratio, auc_of_ratio
from memberscan.evidence.permutation import NullCheck
from memberscan.evidence.rounding import rounded, step_below
from memberscan.evidence.scores import Scores
from memberscan.evidence.single_draw import DeLong
from memberscan.evidence.verdict import Verdict
from memberscan.report import SCHEMA
from memberscan.shown import plain_values
from memberscan.threat import Access, Attacker, ThreatModel

_REFERENCE_ATTACK = "prediction+label"
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas")


@dataclass(frozen=True, eq=False)
class Outcome:
    """All that an audit worked out.

    Parameters
    ----------
    source, name
        What was audited, and the last part of its path.
    threat, known_per_side
        What the attacker had, and how many members, and as many non-members, it knew.
    attacks, not_run
        Attacks that ran, and reasons why others did not, by name.
    subjects, scored
        People, and the attacks' scores of them.
    findings, estimates, null, blind, within, gap, verdict
        What the evidence says; no estimates and no null where no attack could be run.
    seed
        Root seed.
    gains, federation
        As they stand in audit.json, but for rounding: what the weights add, and what is known of a
        federation's parties.
    smallest_cell
        Fewest people on each side of a group that is reported.
    digest
        Of a predictions file, with a secret key.
    """

    source: Source
    name: str
    threat: ThreatModel
    known_per_side: int
    attacks: Mapping[str, Attack | UpdateAttack]
    not_run: Mapping[str, str]
    subjects: Subjects
    scored: Sequence[Scores]
    findings: Sequence[Finding]
    estimates: Estimates | None
    null: NullCheck | None
    blind: Blind
    within: Estimates | None
    gap: Gap
    verdict: Verdict
    seed: int
    gains: list[dict[str, Any]]
    federation: dict[str, Any] | None
    smallest_cell: int = disclosure.SMALLEST_CELL
    digest: str | None = None


def content(outcome: Outcome) -> dict[str, Any]:
    """Return the content of audit.json: without small groups, and with rounded numbers."""
    found: dict[str, Any] = disclosure.published(_exact(outcome))
    found["checks"]["gap"] = _gap(outcome.gap, found["checks"]["gap"])
    for finding in found["findings"]:
        roc, tpr, scored = (finding[key] for key in ("roc", "tpr", "scored"))
        finding["roc"] = disclosure.curve(roc, tpr, scored, outcome.smallest_cell)
        # In a federation only members of learners with too few people are not scored, and subtraction would
        # tell how many they are.
        unscored = found["target"]["members"] - scored["members"]
        if outcome.threat.attacker is not Attacker.OUTSIDER and 0 < unscored < outcome.smallest_cell:
            scored["members"] = None
    # Names of columns, sites and learners are the users' own, and may hold anything.
    return dict(plain_values(found))


def _exact(outcome: Outcome) -> dict[str, Any]:
    """Return what an audit says, with estimates and p-values that are not rounded yet."""
    people, smallest = outcome.subjects, outcome.smallest_cell
    return {
        "schema": SCHEMA,
        "disclosure": {"smallest_cell": smallest},
        "target": _target(outcome),
        "threat": {**outcome.threat.to_dict(), "known_per_side": outcome.known_per_side},
        "findings": _findings(outcome),
        "gains": outcome.gains,
        "not_run": [{"attack": name, "reason": reason} for name, reason in outcome.not_run.items()],
        "checks": {
            "gap": {key: outcome.gap.to_dict()[key] for key in ("h", "auc", "accuracy")},
            "null": _null(outcome.null),
            "blind": _blind(outcome.blind, outcome.source.ignored, people.left_out, smallest),
        },
        "exposure": _exposure(outcome),
        "residuals": {"bands": residual_bands(people.age, people.residual, people.member, smallest)},
        "verdict": _verdict(outcome.verdict),
        "federation": outcome.federation,
        "provenance": _provenance(outcome),
    }


def _exposure(outcome: Outcome) -> dict[str, Any]:
    if outcome.estimates is None:
        return {"attack": None, "groups": []}
    people = outcome.subjects
    strongest = outcome.scored[outcome.estimates.strongest]
    return exposure(strongest, people.member, people.age, people.sex, outcome.smallest_cell)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    # Upwards, as in the sentence: never claim to have seen more than was seen.
    detectable = math.ceil(100 * verdict.smallest_detectable_auc - 1e-9) / 100
    return {"label": verdict.label, "sentence": verdict.sentence, "smallest_detectable_auc": detectable}


def _gap(exact: Gap, found: dict[str, Any]) -> dict[str, Any]:
    """Return the gap with both fractions computed from the rounded ratio, so that they add nothing to it."""
    if exact.h is None:
        return found
    ratio = 1 + np.array([found["h"][end] for end in ("value", "low", "high")])
    both = {"auc": auc_of_ratio(ratio), "accuracy": accuracy_of_ratio(ratio)}
    fractions = {
        name: dict(zip(("value", "low", "high"), np.round(values, 3).tolist(), strict=True))
        for name, values in both.items()
    }
    return found | fractions


def _target(outcome: Outcome) -> dict[str, Any]:
    people, member = outcome.subjects, outcome.subjects.member
    return {
        **outcome.source.describe(),
        "members": int(member.sum()),
        "nonmembers": int((~member).sum()),
        "scans": len(outcome.source.scans),
        "mae_members": disclosure.mean_of(people.mean_absolute[member]),
        "mae_nonmembers": disclosure.mean_of(people.mean_absolute[~member]),
        "rmse_members": disclosure.root_mean(people.mean_square[member]),
        "rmse_nonmembers": disclosure.root_mean(people.mean_square[~member]),
    }


def _findings(outcome: Outcome) -> list[dict[str, Any]]:
    rows = []
    if outcome.null is None:
        return []
    for k, finding in enumerate(outcome.findings):
        attack = outcome.attacks[finding.attack]
        row = finding.to_dict()
        row["auc"].pop("standard_error")
        # Under secure aggregation an attack on updates has only their sums to work on.
        seen = min(attack.needs.access, outcome.threat.access)
        row |= {"title": attack.title, "access": str(seen), "fitted": attack.needs.leaked}
        row |= {"p_value": float(outcome.null.p_values[k]), "within_strata": None}
        if outcome.within is not None:
            simultaneous = {"level": SIMULTANEOUS_LEVEL, "low": float(outcome.within.simultaneous_low[k])}
            auc = outcome.within.intervals[k].to_dict() | {"simultaneous": simultaneous}
            row["within_strata"] = {"auc": auc}
        rows.append(row)
    return rows


def gains(attacks: Mapping[str, Attack], attempts: Sequence[Scores]) -> list[dict[str, Any]]:
    """Return what each attack on the weights adds over the outputs, on the same subjects and draws."""
    scored = {s.attack: s for s in attempts}
    if _REFERENCE_ATTACK not in scored:
        return []
    rows = []
    for name, attack in attacks.items():
        if attack.needs.access > Access.OUTPUTS and attack.needs.leaked:
            gain = paired_difference(scored[name], scored[_REFERENCE_ATTACK], DeLong())
            difference = {"value": gain.value, "low": gain.low, "high": gain.high}
            rows.append({"attack": gain.attack, "over": gain.over, "difference": difference})
    return rows


def _null(null: NullCheck | None) -> dict[str, Any]:
    if null is None:
        return {"method": "permutation", "permutations": None, "p_values": {}, "mean_auc": None}
    permuted = null.permutations is not None
    return {
        "method": "permutation" if permuted else "closed form",
        "permutations": null.permutations,
        "p_values": dict(zip(null.attacks, null.p_values.tolist(), strict=True)),
        "mean_auc": _null_means(null) if permuted else None,
    }


def _null_means(null: NullCheck) -> dict[str, float]:
    # Two digits at most: the mean says that the audit is sound, and its own error says nothing about people.
    errors = np.maximum(null.null_spread / np.sqrt(null.permutations or 1), 0.01)
    means = zip(null.attacks, null.null_mean.tolist(), errors.tolist(), strict=True)
    return {attack: rounded(mean, step_below(error)) for attack, mean, error in means}


def _blind(
    check: Blind, ignored: Sequence[str], left_out: Mapping[str, str], smallest: int
) -> dict[str, Any]:
    pairs, error = check.pairs or 0, disclosure.chance_error(check.sides)
    enough = min(check.sides) >= smallest
    return {
        "auc": disclosure.fraction(check.auc, error) if enough else None,
        "p_value": check.p_value if enough else None,
        "tripped": check.tripped,
        "gates": check.gates,
        "covariates": [
            {"name": c.name, "auc": disclosure.fraction(c.auc, error), "p_value": c.p_value}
            for c in (check.covariates if enough else ())
        ],
        "worst": check.worst if check.tripped else None,
        "ignored": [*ignored, *left_out, *check.ignored],
        "reasons": {**left_out, **check.ignored},
        "matched": {"members": pairs, "nonmembers": pairs} if check.tripped and pairs >= smallest else None,
    }


def _provenance(outcome: Outcome) -> dict[str, Any]:
    facts = outcome.source.provenance()
    libraries = (*_LIBRARIES, "torch") if facts["weights"] else _LIBRARIES
    return {
        "memberscan": __version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in libraries}},
        "seed": outcome.seed,
        **facts,
        # Plain digests of who is a member would confirm a guess of all of them.
        "roles": outcome.source.roles_digest,
        "predictions": outcome.digest,
        "source": outcome.name,
    }
