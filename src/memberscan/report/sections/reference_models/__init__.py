"""The reference models: how many there are, and whether the audited model is like them."""

from __future__ import annotations

from dataclasses import dataclass

from memberscan.report import words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.references_json import References
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table


@dataclass(frozen=True)
class ReferenceModels:
    """What the section shows; ``unlike`` is empty where the model is like its references."""

    count: str
    recipe: str
    comparison: Table
    unlike: str


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
    )


def comparison_table(audit: AuditContent, found: References) -> Table:
    """Return the errors and correlations of the model beside those of its references."""
    target = audit.target
    rows = [
        _row("Error on people it was trained on, years", target.rmse_members, found.rmse_in),
        _row("Error on other people, years", target.rmse_nonmembers, found.rmse_out),
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


def _row(name: str, own: float, references: float) -> list[Cell]:
    return [Cell(name), Cell(words.years(own)), Cell(words.years(references))]


SECTION = Section(__name__, "references", "Reference models", data)
