"""Checks on the audit itself: the error gap, shuffled membership, and the sides without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memberscan.evidence.blind import PLAIN_P
from memberscan.report import ranking, words
from memberscan.report.content.audit_json import (
    AuditContent,
    Blind,
    Checks,
    Covariate,
    ImageCheck,
    Null,
    PredictionCheck,
    Target,
)
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table

State = Literal["unknown", "alike", "perhaps", "different", "chance"]


@dataclass(frozen=True)
class SelfChecks:
    """What the section shows.

    ``shuffled`` is the range of the mean AUCs with membership shuffled. ``blind`` says how the sides compare
    without the model; different by "chance" is where memberscan drew the members at random. ``corrected``
    sets the strongest attack among people alike beside the same among all; ``hidden`` says what would explain
    a finding without a leak. Empty texts are not shown.
    """

    target: Target
    checks: Checks
    findings: int
    of_a_party: bool
    shuffled: str | None
    p_values: Table | None
    blind: State
    worst: str | None
    strata: str
    overlap: str
    corrected: str
    hidden: str
    covariates: Table | None
    unused: str
    predictions: str | None
    images: str


def data(audit: AuditContent) -> SelfChecks:
    """Return what the section shows."""
    checks = audit.checks
    return SelfChecks(
        target=audit.target,
        checks=checks,
        findings=len(audit.findings),
        of_a_party=ranking.of_a_party(audit),
        shuffled=_shuffled(checks.null),
        p_values=null_table(checks.null) if checks.null.p_values else None,
        blind=_state(checks.blind),
        worst=checks.blind.worst,
        strata=_strata(audit),
        overlap=words.overlap(checks.blind.overlap) if checks.blind.overlap else "",
        corrected=_corrected(audit),
        hidden=words.hidden_difference(audit.verdict),
        covariates=covariate_table(checks.blind.covariates) if checks.blind.covariates else None,
        unused=words.unused_columns(checks.blind),
        predictions=_predictions(checks.predictions),
        images=_images(checks.images),
    )


def _images(check: ImageCheck | None) -> str:
    """Return what is said of the images of a model that was trained elsewhere; "" for others."""
    if check is None:
        return ""
    if check.reproduced is not None:
        scans = words.people(check.reproduced, "scan")
        return (
            f"The model gives the predictions that its makers have of {scans}, so it gets the images that it "
            "was trained on."
        )
    compare = "Compare it with its makers’ own predictions: memberscan import --predictions."
    if check.problem is None:
        return (
            "On the members, the model errs less than always answering the same would. This does not "
            f"prove that it gets the images that it was trained on. {compare}"
        )
    return (
        "The model probably gets other images than it was trained on, because it errs on the members "
        f"{words.OTHER_IMAGES[check.problem]}. {compare}"
    )


def _predictions(check: PredictionCheck | None) -> str | None:
    """Return what is said of how given predictions were made; None for a run."""
    if check is None:
        return None
    p_value = f"(p {words.p_is(check.p_value)}, corrected for four tests)"
    if not check.unlike:
        return f"No such difference was found {p_value}. That does not prove that they were made in one way."
    named = words.listed([words.PREDICTION_DIFFERENCES[difference] for difference in check.differences])
    return (
        f"Such a difference was found {p_value}: {named}. Predict both sides again, by the final model in "
        "evaluation mode and in one pass, and audit that file."
    )


def _shuffled(null: Null) -> str | None:
    if not null.mean_auc:
        return None
    ends = (words.rough(end(null.mean_auc.values())) for end in (min, max))
    return " to ".join(dict.fromkeys(ends))


def _state(blind: Blind) -> State:
    if blind.auc is None:
        return "unknown"
    if not blind.tripped:
        return "alike"
    if not blind.gates:
        return "chance"
    # Between the two levels attacks are judged among people who are alike, and the answer need not be that.
    return "perhaps" if blind.p_value is not None and blind.p_value >= PLAIN_P else "different"


def _strata(audit: AuditContent) -> str:
    if ranking.within_strata(audit):
        return "Attacks are therefore judged within strata of people who are alike in this respect."
    return (
        "No attack was judged among people who are alike in this respect, so the success of an attack is no "
        "evidence of a leak."
    )


def _corrected(audit: AuditContent) -> str:
    """Return the strongest attack's AUC before and after the correction, and which one counts."""
    best = ranking.strongest(audit)
    if best is None or best.within_strata is None or not ranking.within_strata(audit):
        return ""
    among_all, alike = (
        f"{words.fraction(auc.value)} (at least {words.fraction(auc.simultaneous.low)})"
        for auc in (best.auc, best.within_strata.auc)
    )
    return (
        f"The attack {best.attack} reaches an AUC of {among_all} among all people, and of {alike} among "
        "people who are alike. The verdict uses the second, from which the effect of the covariates is "
        "removed."
    )


def null_table(null: Null) -> Table:
    """Return what the attacks reach when membership is shuffled."""
    means = null.mean_auc or {}
    rows = [
        [Cell(name), Cell(words.rough(means[name])) if name in means else NONE, Cell(words.p_value(p))]
        for name, p in null.p_values.items()
    ]
    caption = "With membership shuffled: mean AUC (0.50 if the audit is sound); p-value of the real AUC."
    return Table(caption, ("Attack", "Mean AUC, shuffled", "p-value"), rows)


def covariate_table(covariates: Sequence[Covariate]) -> Table:
    """Return how well each covariate alone tells the sides apart."""
    rows = [
        [
            Cell(entry.name),
            NONE if entry.auc is None else Cell(words.rough(entry.auc)),
            Cell(words.p_value(entry.p_value)),
        ]
        for entry in covariates
    ]
    caption = (
        "How well each covariate alone, without the model, tells members from non-members (cross-validated)."
    )
    return Table(caption, ("Covariate", "AUC", "Permutation p-value"), rows)


SECTION = Section(__name__, "checks", "Checks", data)
