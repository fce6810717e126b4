"""The reference models: how many there are, and whether the audited model is like them."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.finding_json import Gain
from memberscan.report.content.references_json import References
from memberscan.report.content.variable_json import Variable
from memberscan.report.outcome import WITH_WEIGHTS
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table


@dataclass(frozen=True)
class ReferenceModels:
    """What the section shows.

    Parameters
    ----------
    count, recipe
        How many references there are, and how they were trained.
    comparison
        The model beside them.
    unlike
        In what it differs from them; empty where it does not.
    weights
        What the weights add to the outputs and references; empty where that was not measured.
    """

    count: str
    recipe: str
    comparison: Table
    unlike: str
    weights: str


def data(audit: AuditContent) -> ReferenceModels | None:
    """Return what the section shows; None where there were no references."""
    found = audit.references
    if found is None:
        return None
    return ReferenceModels(
        count=words.people(found.count, "reference model"),
        recipe=found.recipe,
        comparison=comparison_table(audit, found),
        unlike=words.listed(found.unlike) if found.unlike else "",
        weights=next((added(gain) for gain in audit.gains if gain.attack == WITH_WEIGHTS), ""),
    )


def added(gain: Gain) -> str:
    """Return what the weights add to the outputs and references, in a sentence."""
    found = gain.difference
    numbers = f"{words.signed(found.value)} ({words.signed(found.low)} to {words.signed(found.high)})"
    if found.low > 0:
        conclusion = "The weights say more than the outputs and references do."
    elif found.high < 0:
        conclusion = "What it learns from so few people costs more than the weights add."
    else:
        conclusion = "No gain is shown."
    return (
        "An attacker that also sees the weights, and knows some people, can learn from both. This changes "
        f"the AUC of {gain.over} by {numbers} on the same people. {conclusion}"
    )


def comparison_table(audit: AuditContent, found: References) -> Table:
    """Return the errors and correlations of the model beside those of its references."""
    target = audit.target
    unit = f", {target.variable.unit}" if target.variable.unit else " (deviance residual)"
    rows = [
        _row(f"Error on people it was trained on{unit}", target.rmse_members, found.rmse_in, target.variable),
        _row(f"Error on other people{unit}", target.rmse_nonmembers, found.rmse_out, target.variable),
        [
            Cell("Correlation of its errors with a reference’s"),
            *(
                NONE if value is None else Cell(words.rough(value))
                for value in (found.correlation, found.own_correlation)
            ),
        ],
    ]
    caption = "The audited model beside the mean of its references (errors are root mean squared)."
    return Table(caption, ("", "This model", "References"), rows)


def _row(name: str, own: float, references: float, variable: Variable) -> list[Cell]:
    return [Cell(name), Cell(words.amount(own, variable)), Cell(words.amount(references, variable))]


SECTION = Section(__name__, "references", "Reference models", data)
