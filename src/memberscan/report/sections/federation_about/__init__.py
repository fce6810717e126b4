"""The federation: its learners and their people, and who was left out of a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.report import words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.federation_json import Federation, Learner, LeftOut
from memberscan.report.content.parts import Environment
from memberscan.report.content.variable_json import Variable
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table, counted

_PEOPLE: dict[Environment | None, str] = {
    "uniform-iid": "All learners have the same number of people, and the same mix of {values}.",
    "uniform-noniid": "All learners have the same number of people, but their {values} differ between "
    "learners.",
    "skewed-iid": "Learners have different numbers of people, but the same mix of {values}.",
    "skewed-noniid": "Learners have different numbers of people, and their {values} differ between learners.",
    "by-site": "Each learner has the people of one site.",
    None: "How people were spread over the learners is not known.",
}


@dataclass(frozen=True)
class FederationAbout:
    """What the section shows; no table of left-out learners if there were none."""

    about: str
    learners: Table
    left_out: Table | None


def data(audit: AuditContent) -> FederationAbout | None:
    """Return what the section shows; None if the model was not trained by a federation."""
    federation = audit.federation
    if federation is None:
        return None
    left_out = left_out_table(federation.left_out) if federation.left_out else None
    variable = audit.target.variable
    return FederationAbout(
        about(federation, variable), learner_table(federation.learners, variable), left_out
    )


def about(federation: Federation, variable: Variable) -> str:
    """Describe the federation in two or three sentences."""
    rounds, epochs = words.people(federation.rounds, "round"), federation.local_epochs
    each = f", with {words.people(epochs, 'local epoch')} in each" if epochs else ""
    learners = words.people(len(federation.learners), "learner")
    values = "ages" if variable.is_age else f"values of {variable.name}"
    people = _PEOPLE[federation.environment].format(values=values)
    secret = " Learners encrypted what they sent (CKKS)." if federation.secure == "ckks" else ""
    return f"{learners} trained together over {rounds}{each}. {people}{secret}"


def learner_table(rows: Sequence[Learner], variable: Variable) -> Table:
    """Return the learners and their people."""
    cells = [
        [
            Cell(row.name),
            Cell(counted(row.members)),
            NONE if row.age_mean is None else Cell(words.amount(row.age_mean, variable)),
            NONE if row.age_sd is None else Cell(words.amount(row.age_sd, variable)),
        ]
        for row in rows
    ]
    if variable.classes:
        caption, cells = "The learners and the people each trained on.", [row[:2] for row in cells]
        return Table(caption, ("Learner", "People"), cells)
    name = variable.name
    what = "ages" if variable.is_age else name
    caption = f"The learners and the people each trained on; {what} in {variable.unit}."
    return Table(caption, ("Learner", "People", f"Mean {name}", f"SD of {name}"), cells)


def left_out_table(rows: Sequence[LeftOut]) -> Table:
    """Return who was left out of which round."""
    cells = [[Cell(f"{row.round}"), Cell(row.learner), Cell(row.reason)] for row in rows]
    caption = "Learners whose update was not used for the global model of a round."
    return Table(caption, ("Round", "Learner", "Reason"), cells)


SECTION = Section(__name__, "federation", "The federation", data)
