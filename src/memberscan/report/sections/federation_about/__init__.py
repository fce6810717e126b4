"""The federation: its learners and their people, and who was left out of a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.report import words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.federation_json import Federation, Learner, LeftOut
from memberscan.report.content.parts import Environment
from memberscan.report.page_section import Section
from memberscan.report.table_cells import NONE, Cell, Table, counted

_PEOPLE: dict[Environment | None, str] = {
    "uniform-iid": "All learners have the same number of people, and the same mix of ages.",
    "uniform-noniid": "All learners have the same number of people, but their ages differ between learners.",
    "skewed-iid": "Learners have different numbers of people, but the same mix of ages.",
    "skewed-noniid": "Learners have different numbers of people, and their ages differ between learners.",
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
    return FederationAbout(about(federation), learner_table(federation.learners), left_out)


def about(federation: Federation) -> str:
    """Describe the federation in two or three sentences."""
    rounds, epochs = words.people(federation.rounds, "round"), federation.local_epochs
    each = f", with {words.people(epochs, 'local epoch')} in each" if epochs else ""
    learners = words.people(len(federation.learners), "learner")
    secret = " Learners encrypted what they sent (CKKS)." if federation.secure == "ckks" else ""
    return f"{learners} trained together over {rounds}{each}. {_PEOPLE[federation.environment]}{secret}"


def learner_table(rows: Sequence[Learner]) -> Table:
    """Return the learners and their people."""
    cells = [
        [
            Cell(row.name),
            Cell(counted(row.members)),
            NONE if row.age_mean is None else Cell(words.years(row.age_mean)),
            NONE if row.age_sd is None else Cell(words.years(row.age_sd)),
        ]
        for row in rows
    ]
    caption = "The learners and the people each trained on; ages in years."
    return Table(caption, ("Learner", "People", "Mean age", "SD of age"), cells)


def left_out_table(rows: Sequence[LeftOut]) -> Table:
    """Return who was left out of which round."""
    cells = [[Cell(f"{row.round}"), Cell(row.learner), Cell(row.reason)] for row in rows]
    caption = "Learners whose update was not used for the global model of a round."
    return Table(caption, ("Round", "Learner", "Reason"), cells)


SECTION = Section(__name__, "federation", "The federation", data)
