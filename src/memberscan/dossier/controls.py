"""Negative controls and checks on the audits themselves: what must come out if an audit is sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from memberscan.dossier.content import ControlRow
from memberscan.dossier.sources import Audited
from memberscan.report import words

NEAR_CHANCE = 0.05
"""How far from 0.5 the mean AUC with membership shuffled may be; more is a fault of the audit."""


def control_rows(audits: Sequence[Audited]) -> list[ControlRow]:
    """Return the controls of every audit, and those that no audit has."""
    rows = [row for audit in audits for row in _of(audit)]
    if not audits:
        rows = [_missing("Membership shuffled", "Joined audits do not say; add the audits themselves.")]
    return [*rows, _missing("A/A comparison", _NO_AA)]


_NO_AA = (
    "Two models that were trained on the same people in the same way, one called the target, were not "
    "compared. No input holds such a control."
)


def _missing(name: str, why: str) -> ControlRow:
    return ControlRow(name=name, state="not run", result=why, source=None)


def _of(audit: Audited) -> list[ControlRow]:
    found = _shuffled(audit), _sides(audit), _made_alike(audit), _own_images(audit)
    return [row for row in found if row is not None]


def _made_alike(audit: Audited) -> ControlRow | None:
    """Return whether predictions of both sides were made in the same way; None for a model."""
    found = audit.content.checks.predictions
    if found is None:
        return None
    return ControlRow(
        name="Predictions of both sides made alike",
        state="not as expected" if found.unlike else "as expected",
        result=f"Smallest p-value of four tests {words.p_is(found.p_value)}.",
        source=audit.at("checks.predictions"),
    )


def _own_images(audit: Audited) -> ControlRow | None:
    """Return whether a model that was trained elsewhere gets the images that it was trained on; else None."""
    found = audit.content.checks.images
    if found is None:
        return None
    state: Literal["as expected", "not as expected", "not run"] = "as expected"
    if found.problem is not None:
        state = "not as expected"
        said = f"It probably gets other images than it was trained on ({found.problem})."
    elif found.reproduced is not None:
        said = f"It gives its makers' predictions of {words.people(found.reproduced, 'scan')}."
    else:
        state, said = "not run", "The makers' own predictions were not given, so that this is not known."
    name, source = "The model gets the images that it was trained on", audit.at("checks.images")
    return ControlRow(name=name, state=state, result=said, source=source)


def _shuffled(audit: Audited) -> ControlRow:
    null = audit.content.checks.null
    name = "Membership shuffled"
    if not audit.content.findings:
        return _missing(name, f"No attack ran in {audit.given.file}, so that there was nothing to shuffle.")
    if null.method == "closed form":
        result = "The distribution under no leak is known in closed form; p-values come from it."
        return ControlRow(
            name=name, state="as expected", result=result, source=audit.at("checks.null.method")
        )
    if not null.mean_auc:
        return _missing(name, f"{audit.given.file} does not hold the mean AUC over shuffles.")
    low, high = min(null.mean_auc.values()), max(null.mean_auc.values())
    good = max(abs(low - 0.5), abs(high - 0.5)) <= NEAR_CHANCE
    return ControlRow(
        name=name,
        state="as expected" if good else "not as expected",
        result=f"Mean AUC of the attacks over {words.count(null.permutations)} shuffles: "
        f"{words.rough(low)} to {words.rough(high)}; 0.50 is expected.",
        source=audit.at("checks.null.mean_auc"),
    )


def _sides(audit: Audited) -> ControlRow:
    """Return whether members are told from non-members without the model."""
    blind = audit.content.checks.blind
    name = "Sides alike without the model"
    if blind.auc is None:
        return _missing(name, f"No covariates were given for {audit.given.file}, so that nobody knows.")
    result = f"AUC without the model {words.rough(blind.auc)}, p {words.p_is(blind.p_value)}."
    if blind.tripped and not blind.gates:
        result += " Members were drawn at random, so that the difference is chance."
    if blind.tripped and blind.gates:
        result += " Attacks are judged among people who are alike, or the audit is confounded."
    return ControlRow(
        name=name,
        state="not as expected" if blind.tripped and blind.gates else "as expected",
        result=result,
        source=audit.at("checks.blind"),
    )
