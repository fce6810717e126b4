"""What a report says of the target, its people and its attacker, as plain facts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan.cohort.covariates import SEX, SITE, column_named
from memberscan.evidence.admissible import computed_from_answers, computed_from_predictions
from memberscan.report.content import variable_json
from memberscan.report.content.variable_json import Variable
from memberscan.report.outcome import (
    FederationFacts,
    Outcome,
    PeopleFacts,
    ProvenanceFacts,
    ReferenceFacts,
    TargetFacts,
    ThreatFacts,
)
from memberscan.signals import PREDICTION, View
from memberscan.target_variable import AGE, TargetVariable
from memberscan.threat import Attacker

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.auditing.heading import Heading
    from memberscan.auditing.selection import Selection
    from memberscan.auditing.weighing import Weighed
    from memberscan.evidence.canary_bounds import CanaryEvidence
    from memberscan.runs import Run
    from memberscan.targets import Target

_ENOUGH = 10_000
"""This number of scans is enough to recognise a column that was computed from predictions."""


@dataclass(frozen=True, eq=False)
class PeopleSummary:
    """What is known of each person, over its scans.

    Parameters
    ----------
    facts
        Label and errors.
    covariates
        The covariates of the check without the model: mean label, scan count, and the target's own covariates
        (means of numbers, the first value of text).
    left_out
        Columns of the target that are not used as covariates, and why: see
        :mod:`memberscan.evidence.admissible`.
    """

    facts: PeopleFacts
    covariates: pd.DataFrame
    left_out: Mapping[str, str]


def stated_of_training(run: Run) -> dict[str, Any]:
    """Return what a report repeats of the defence of a run, for requests; empty without one.

    Weights do not determine it: at another delta, the same noise has another epsilon.
    """
    guarantee = run.guarantee
    if run.defence is None and guarantee is None:
        return {}
    said = None if guarantee is None else asdict(guarantee)
    return {"defence": run.defence, "guarantee": said, "gaussian_noise": run.gaussian_noise}


def summarise_people(target: Target, view: View) -> PeopleSummary:
    """Average over the scans of each subject."""
    people, residual = target.people, view.residual
    label = people.mean(view.label)
    variable = target.variable
    written: np.ndarray = label
    if variable.classes:
        written = people.covariates(target.label_as_covariate.to_frame("label"))["label"].to_numpy()
    own = {variable.name: written, "scan count": people.scan_count.astype(float)}
    left_out = _left_out(target, view)
    covariates = people.covariates(target.covariates.drop(columns=list(left_out)))
    covariates = covariates.rename(columns={name: f"{name} (as given)" for name in own})
    covariates = pd.DataFrame(own, index=covariates.index).join(covariates)
    facts = PeopleFacts(
        member=target.member,
        label=label,
        residual=people.mean(residual),
        mean_absolute=people.mean(np.abs(residual)),
        mean_square=people.mean(residual**2),
        # The target has groups of its own.
        sex=_written(covariates.drop(columns=variable.name), SEX),
        site=_written(covariates.drop(columns=variable.name), SITE),
        scans=people.scan_count,
        variable=reported_variable(variable, label),
        age=_age(covariates, variable),
    )
    return PeopleSummary(facts, covariates, left_out)


def reported_variable(variable: TargetVariable, label: Float[np.ndarray, " people"]) -> Variable:
    """Return the target, with a step of about a thirtieth of its spread: 0.1 years for most ages."""
    if variable.is_age:
        return variable_json.AGE
    spread = float(label.std())
    step = 10.0 ** math.floor(math.log10(spread / 30)) if spread > 0 and not variable.classes else 0.01
    return Variable(name=variable.name, unit=variable.unit, classes=variable.classes, step=step)


def _age(covariates: pd.DataFrame, variable: TargetVariable) -> Float[np.ndarray, " people"] | None:
    """Return ages where they are a covariate, and not the target."""
    if variable.is_age or AGE.name not in covariates:
        return None
    column = covariates[AGE.name]
    return column.to_numpy(float) if pd.api.types.is_numeric_dtype(column.dtype) else None


def _written(covariates: pd.DataFrame, names: Sequence[str]) -> pd.Series | None:
    """Return a covariate as the target writes it, missing where not known; None without such a column."""
    name = column_named(covariates, names)
    if name is None:
        return None
    written = covariates[name]
    if pd.api.types.is_numeric_dtype(written):
        return written.map(lambda code: f"{code:g}", na_action="ignore")
    return written


def _left_out(target: Target, view: View) -> dict[str, str]:
    """Return which columns must not be covariates, and why."""
    count, member = len(view.scans), target.member_of_scan
    chosen = np.unique(np.linspace(0, count - 1, min(count, _ENOUGH)).astype(int))
    covariates, classes = target.covariates.iloc[chosen], target.variable.classes
    if classes:
        written = target.label_as_covariate.iloc[chosen]
        computed = computed_from_answers(covariates, written, view.residual[chosen], classes, member[chosen])
    else:
        predictions = np.asarray(view[PREDICTION])[chosen]
        computed = computed_from_predictions(covariates, view.label[chosen], predictions, member[chosen])
    return computed | target.copied_columns


def outcome(
    target: Target,
    selected: Selection,
    people: PeopleSummary,
    found: Weighed,
    federation: FederationFacts | None,
    references: ReferenceFacts | None,
    canaries: CanaryEvidence | None,
    *,
    origin: str,
    heading: Heading,
    smallest_cell: int,
) -> Outcome:
    """Return the complete result of an audit, as input of the report."""
    return Outcome(
        target=TargetFacts(
            **target.describe(),
            predictions_from=target.predictions_from,
            scans=len(target.scans),
            ignored=target.ignored,
            left_out=people.left_out,
        ),
        threat=_threat(target),
        people=people.facts,
        provenance=_provenance(target, origin, heading),
        attacks=selected.about,
        not_run=selected.not_run,
        findings=found.findings,
        null=found.null,
        blind=found.check,
        within=found.within,
        overlap=found.overlap,
        prediction_scale=found.prediction_scale,
        images=found.images,
        gap=found.gap,
        verdict=found.verdict,
        exposed=found.judged,
        gains=found.gains,
        federation=federation,
        references=references,
        canaries=canaries,
        smallest_cell=smallest_cell,
    )


def with_digest(audited: Outcome, digest: str) -> Outcome:
    """Return an outcome with the keyed digest of its predictions file."""
    return replace(audited, provenance=replace(audited.provenance, predictions=digest))


def _threat(target: Target) -> ThreatFacts:
    # An outsider does not have more access than the target allows.
    threat = target.threat
    if threat.attacker is Attacker.OUTSIDER:
        threat = threat.limited_to(target.shows)
    members, nonmembers = target.known_people
    return ThreatFacts(
        access=threat.access.value,
        leaked=threat.leaked,
        repeats=threat.repeats,
        attacker=threat.attacker.value,
        rounds=threat.rounds,
        known_members=None if threat.attacker is Attacker.LEARNER else members,
        known_nonmembers=nonmembers,
        references=None if target.references is None else len(target.references),
        checkpoints=None if target.checkpoints is None else len(target.checkpoints),
    )


def _provenance(target: Target, origin: str, heading: Heading) -> ProvenanceFacts:
    facts = target.provenance()
    return ProvenanceFacts(
        **asdict(heading),
        source=origin,
        seed=target.seed,
        cohort=facts["cohort"],
        # A plain digest of membership would confirm a guess of all members.
        roles=target.roles_digest,
        weights=facts["weights"],
        threads=facts["threads"],
    )
