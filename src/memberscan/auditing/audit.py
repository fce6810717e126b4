"""The audit: from a run or a file of predictions to a result, stage by stage."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan import __version__, seeds
from memberscan.attacks import DEFAULT_ATTACKS, Attack, named
from memberscan.attacks.campaign import Campaign, Observed, positions
from memberscan.auditing.exposure import exposure, residual_bands
from memberscan.auditing.result import DONE, AuditResult
from memberscan.auditing.source import Source, open_source
from memberscan.auditing.tables import matched_table, scores_table
from memberscan.errors import BadInputError
from memberscan.evidence.blind import Blind, blind
from memberscan.evidence.confounding import within_strata
from memberscan.evidence.findings import findings
from memberscan.evidence.gap import gap
from memberscan.evidence.joint import SIMULTANEOUS_LEVEL, Joint, joint, paired
from memberscan.evidence.permutation import NullCheck, normal_null, permuted_null
from memberscan.evidence.scored import Scored
from memberscan.evidence.verdict import judge
from memberscan.files import begin
from memberscan.report import SCHEMA
from memberscan.signals.plausible import require_years
from memberscan.signals.signals import PREDICTION, Signals
from memberscan.threat import Access, ThreatModel

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LARGEST_PERMUTED = 1000
"""Up to this many subjects attacks are refitted with membership permuted; above, the closed form serves."""
_REFERENCE_ATTACK = "prediction+label"
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas")


def audit(
    source: Path | str,
    directory: Path | str | None = None,
    *,
    threat: ThreatModel | None = None,
    attacks: Sequence[str | Attack] = (),
    cohort: Path | str | None = None,
    pseudonyms: bool = False,
    seed: int = 0,
) -> AuditResult:
    """Audit a model: can its members be told from its non-members?

    Parameters
    ----------
    source
        A run directory, or a TSV or CSV of predictions (columns subject_id, age, prediction, member).
    directory
        Where the result is kept; an unfinished audit there is resumed, a finished one returned as it is. Without
        one nothing is kept until :meth:`AuditResult.save`.
    threat
        What the attacker has; by default the outputs, and half of the smaller side known.
    attacks
        Names of attacks, or attacks of your own; by default all of the paper's and their zero-knowledge versions.
    cohort
        The run's cohort, where it was moved.
    pseudonyms
        Whether ``scores.tsv`` names subjects, by salted pseudonyms.
    seed
        Root seed of every draw.

    Raises
    ------
    MemberscanError
        One of its kinds, saying what to do: see :mod:`memberscan.errors`.
    """
    threat = threat or ThreatModel()
    chosen = [a if isinstance(a, Attack) else named(a) for a in (attacks or DEFAULT_ATTACKS)]
    target = open_source(Path(source), Path(cohort) if cohort else None)
    _require_both_sides(target)
    request = {
        "command": "audit",
        **target.provenance(),
        "threat": threat.to_dict(),
        "attacks": [a.name for a in chosen],
        "pseudonyms": pseudonyms,
        "seed": seed,
    }
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="memberscan-") as temporary:
            return _audit(target, Path(source).name, chosen, threat, Path(temporary), pseudonyms, seed)
    directory = Path(directory)
    if begin(directory, request, done=DONE):
        return AuditResult.load(directory)
    result = _audit(target, Path(source).name, chosen, threat, directory, pseudonyms, seed)
    result.save(directory)
    return result


@dataclass(frozen=True, eq=False)
class _Stage:
    """What the later stages work on: subjects, and the attacks' scores of them."""

    target: Source
    threat: ThreatModel
    subjects: list[str]
    member: Bool[np.ndarray, " subjects"]
    age: Float[np.ndarray, " subjects"]
    residual: Float[np.ndarray, " subjects"]
    mean_square: Float[np.ndarray, " subjects"]
    mean_absolute: Float[np.ndarray, " subjects"]
    scan_count: Float[np.ndarray, " subjects"]
    attacks: dict[str, Attack]
    scored: list[Scored]
    seed: int


def _audit(
    target: Source, name: str, chosen: Sequence[Attack], threat: ThreatModel, directory: Path, pseudonyms: bool, seed: int
) -> AuditResult:
    not_run = {a.name: reason for a in chosen if (reason := _obstacle(a, target, threat))}
    attacks = {a.name: a for a in chosen if a.name not in not_run}
    if not attacks:
        raise BadInputError(f"none of the attacks can be run: {'; '.join(f'{a}: {r}' for a, r in not_run.items())}")
    signals = target.signals([a.needs for a in attacks.values()], directory / "signals")
    require_years(signals.scans["age"].to_numpy(float), np.asarray(signals.arrays[PREDICTION]))
    subject, subjects = positions(signals.scans)
    member = target.member.loc[subjects].to_numpy(bool)
    campaign = Campaign([Observed(a, a.observe(signals)) for a in attacks.values()], subject, member, threat, seed)
    stage = _stage(target, threat, signals, subject, subjects, member, attacks, campaign.scored(), seed)
    estimates = joint(stage.scored, member)
    if len(member) <= LARGEST_PERMUTED:
        null = permuted_null(estimates, campaign.null(_permutations(estimates)))
    else:
        null = normal_null(estimates)
    blindly = blind(
        _subject_covariates(stage), member, seeds.generator(seed, "blind"), randomised=target.describe()["randomised"]
    )
    within = within_strata(stage.scored, member, blindly.strata, blindly.features) if blindly.gates else None
    verdict = judge(estimates, null, blindly, within)
    content = {
        "schema": SCHEMA,
        "target": _target(stage),
        "threat": {**threat.to_dict(), "known_per_side": _known(threat, member)},
        "findings": _findings(stage, estimates, null, within),
        "gains": _gains(stage),
        "not_run": [{"attack": a, "reason": r} for a, r in not_run.items()],
        "checks": {
            "gap": {k: v for k, v in gap(stage.mean_square, member, seeds.generator(seed, "gap")).to_dict().items() if k != "assumes"},
            "null": _null(null),
            "blind": _blind(blindly, target.ignored),
        },
        "exposure": exposure(stage.scored[estimates.strongest], member, stage.age, _sex(stage)),
        "residuals": {"bands": residual_bands(stage.age, stage.residual, member)},
        "verdict": {k: v for k, v in verdict.to_dict().items() if k != "attack"},
        "provenance": _provenance(target, name, seed),
    }
    scores = scores_table(subjects, member, stage.scored, directory if pseudonyms else None)
    confounded = verdict.label == "confounded"
    return AuditResult(content, scores, matched_table(target, subjects, blindly.matched) if confounded else pd.DataFrame())


def _require_both_sides(target: Source) -> None:
    # Imported here: roles live with runs, whose models need torch, which predictions do without.
    from memberscan.evidence.scored import FEWEST
    from memberscan.errors import TooFewSubjectsError

    members = int(target.member.sum())
    others = len(target.member) - members
    if min(members, others) < FEWEST:
        raise TooFewSubjectsError(
            f"there are {members} members and {others} non-members with scans; an audit needs at least {FEWEST} of each"
        )


def _obstacle(attack: Attack, target: Source, threat: ThreatModel) -> str | None:
    """Return why an attack cannot be run on this target by this attacker, or None."""
    if attack.needs.access > threat.access:
        return f"needs access to {attack.needs.access}; this audit assumes {threat.access} only (--access {attack.needs.access})"
    if attack.needs.leaked and not _known(threat, target.member.to_numpy(bool)):
        return "learns from subjects whose membership is known, and this audit assumes none (--leaked 0.5)"
    return target.lacks(attack.needs)


def _known(threat: ThreatModel, member: Bool[np.ndarray, " subjects"]) -> int:
    return threat.known_per_side(int(member.sum()), int((~member).sum()))


def _permutations(estimates: Joint) -> int:
    """Return how many permutations: more where p-values decide, and each costs little."""
    return 199 if estimates.fewest < 150 else 99


def _stage(
    target: Source,
    threat: ThreatModel,
    signals: Signals,
    subject: np.ndarray,
    subjects: list[str],
    member: np.ndarray,
    attacks: dict[str, Attack],
    scored: list[Scored],
    seed: int,
) -> _Stage:
    count = np.bincount(subject).astype(float)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(subject, values) / count

    r = signals.residual
    age = mean(signals.scans["age"].to_numpy(float))
    return _Stage(
        target, threat, subjects, member, age, mean(r), mean(r**2), mean(np.abs(r)), count, attacks, scored, seed
    )


def _subject_covariates(stage: _Stage) -> pd.DataFrame:
    """Return one row a subject: means of numbers, first values of text, age and number of scans."""
    by_subject = stage.target.covariates.groupby(stage.target.scans["subject_id"], sort=False)
    columns = {
        name: by_subject[name].mean() if pd.api.types.is_numeric_dtype(column) else by_subject[name].first()
        for name, column in stage.target.covariates.items()
    }
    table = pd.DataFrame({"age": pd.Series(stage.age, stage.subjects), "scans": pd.Series(stage.scan_count, stage.subjects)})
    return table.join(pd.DataFrame(columns, index=pd.Index(stage.subjects))) if columns else table


def _sex(stage: _Stage) -> np.ndarray | None:
    names = [c for c in stage.target.covariates if str(c).lower() in ("sex", "gender")]
    if not names:
        return None
    first = stage.target.covariates[names[0]].groupby(stage.target.scans["subject_id"], sort=False).first()
    return np.asarray(first.loc[stage.subjects].astype(object))


def _target(stage: _Stage) -> dict[str, Any]:
    member = stage.member
    return {
        **stage.target.describe(),
        "members": int(member.sum()),
        "nonmembers": int((~member).sum()),
        "scans": len(stage.target.scans),
        "mae_members": float(stage.mean_absolute[member].mean()),
        "mae_nonmembers": float(stage.mean_absolute[~member].mean()),
        "rmse_members": float(np.sqrt(stage.mean_square[member].mean())),
        "rmse_nonmembers": float(np.sqrt(stage.mean_square[~member].mean())),
    }


def _findings(stage: _Stage, estimates: Joint, null: NullCheck, within: Joint | None) -> list[dict[str, Any]]:
    rows = []
    for k, finding in enumerate(findings(stage.scored, stage.member, estimates)):
        attack = stage.attacks[finding.attack]
        row = finding.to_dict()
        row["auc"].pop("standard_error")
        row |= {"title": attack.title, "access": str(attack.needs.access), "fitted": attack.needs.leaked}
        row |= {"p_value": float(null.p_values[k]), "within_strata": None}
        if within is not None:
            simultaneous = {"level": SIMULTANEOUS_LEVEL, "low": float(within.simultaneous_low[k])}
            row["within_strata"] = {"auc": within.intervals[k].to_dict() | {"simultaneous": simultaneous}}
        rows.append(row)
    return rows


def _gains(stage: _Stage) -> list[dict[str, Any]]:
    """Return what each attack on the weights adds over the outputs, on the same subjects in the same draws."""
    scored = {s.attack: s for s in stage.scored}
    if _REFERENCE_ATTACK not in scored:
        return []
    rows = []
    for name, attack in stage.attacks.items():
        if attack.needs.access > Access.OUTPUTS and attack.needs.leaked:
            d = paired(scored[name], scored[_REFERENCE_ATTACK], stage.member)
            rows.append({"attack": d.attack, "over": d.over, "difference": {"value": d.value, "low": d.low, "high": d.high}})
    return rows


def _null(null: NullCheck) -> dict[str, Any]:
    permuted = null.permutations is not None
    return {
        "method": "permutation" if permuted else "closed form",
        "permutations": null.permutations,
        "p_values": dict(zip(null.attacks, null.p_values.tolist(), strict=True)),
        "mean_auc": dict(zip(null.attacks, null.null_mean.tolist(), strict=True)) if permuted else None,
    }


def _blind(check: Blind, ignored: Sequence[str]) -> dict[str, Any]:
    per_side = int(check.matched.sum()) // 2
    return {
        "auc": check.auc,
        "p_value": check.p_value,
        "tripped": check.tripped,
        "gates": check.gates,
        "covariates": [{"name": c.name, "auc": c.auc, "p_value": c.p_value} for c in check.covariates],
        "worst": check.worst if check.tripped else None,
        "ignored": [*ignored, *check.ignored],
        "matched": {"members": per_side, "nonmembers": per_side} if check.tripped else None,
    }


def _provenance(target: Source, name: str, seed: int) -> dict[str, Any]:
    facts = target.provenance()
    libraries = (*_LIBRARIES, "torch") if facts["weights"] else _LIBRARIES
    return {
        "memberscan": __version__,
        "versions": {"python": platform.python_version(), **{lib: version(lib) for lib in libraries}},
        "seed": seed,
        **facts,
        "source": name,
    }
