"""One task of a frontier: one point with one seed, from the training to what was found of each person."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan.auditing import audit
from memberscan.auditing.computing import computing
from memberscan.auditing.failures import attempt
from memberscan.auditing.making_references import train_references
from memberscan.auditing.result import SCORES, AuditResult
from memberscan.auditing.tables import KEY
from memberscan.cohort import Cohort
from memberscan.defences import allow_own
from memberscan.files import OWNER_ONLY, read_table, write_table
from memberscan.frontier.curve import Measured
from memberscan.frontier.people import SeedsOfModels
from memberscan.frontier.points import Point
from memberscan.runs import Run
from memberscan.signals import see
from memberscan.target_variable import TargetVariable
from memberscan.targets import open_target
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train

PEOPLE = "people.tsv"
RUN, REFERENCES, AUDIT = "run", "references", "audit"


@dataclass(frozen=True)
class Shared:
    """What all tasks of a frontier have in common.

    Parameters
    ----------
    cohort, target
        Directory of the cohort, and what the models predict.
    model, members, validation, options, config
        See :func:`memberscan.train`; points change the last two.
    references
        How many are trained for each task, with the recipe of its point.
    attacks, access
        Names, and what the attacker sees.
    """

    cohort: Path
    target: TargetVariable
    model: str
    members: float
    validation: float
    options: Mapping[str, Any]
    config: TrainingConfig
    references: int
    attacks: tuple[str, ...]
    access: Access

    @property
    def code(self) -> str | None:
        """The factory of the user's own network; None for a built-in model."""
        return self.model if ":" in self.model else None


@dataclass(frozen=True)
class Task:
    """One point with one seed.

    Parameters
    ----------
    point
        The recipe.
    number
        Of the seed, from 1: it decides initial weights and order of scans, who is in each reference, and the
        draws of the audit. These are the same for all points.
    membership_seed
        Decides who is a member: the same for all points.
    directory
        For the run, its references and its audit.
    shared
        What all tasks have in common.
    """

    point: Point
    number: int
    membership_seed: int
    directory: Path
    shared: Shared


def carry_out_task(task: Task) -> tuple[str | None, float]:
    """Carry out one task; return why it failed, or None, and the seconds that it took."""
    return attempt(lambda: _carry_out(task), task.directory, task.shared.cohort)


def _carry_out(task: Task) -> None:
    """Train, train references, audit: each goes on where it was interrupted."""
    # Only tasks of the user's own call reach this process, so the user named these classes.
    allow_own(task.point.defence)
    made = task.directory
    if not (made / PEOPLE).is_file():
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        _train(task)
        _audit(task)
        people = people_table(made, task.shared.code, task.shared.config.device)
        write_table(made / PEOPLE, people, mode=OWNER_ONLY)
    # What attacks read can be computed again, and is by far the largest part.
    shutil.rmtree(made / AUDIT / "signals", ignore_errors=True)


def _train(task: Task) -> None:
    """Train the model of the point, and its references."""
    made, shared = task.directory, task.shared
    train(
        Cohort.open(shared.cohort).with_target(shared.target),
        made / RUN,
        model=shared.model,
        members=shared.members,
        validation=shared.validation,
        options=task.point.options(shared.options),
        config=replace(task.point.config(shared.config), seed=task.number),
        seed=task.membership_seed,
    )
    train_references(
        made / RUN,
        made / REFERENCES,
        count=shared.references,
        model=shared.code,
        workers=1,
        seed=task.number,
    )


def _audit(task: Task) -> None:
    made, shared = task.directory, task.shared
    audit(
        made / RUN,
        made / AUDIT,
        threat=ThreatModel(shared.access),
        attacks=shared.attacks,
        model=shared.code,
        pseudonyms=True,
        device=shared.config.device,
        seed=task.number,
        references=made / REFERENCES,
    )


def people_table(made: Path, code: str | None, device: str) -> pd.DataFrame:
    """Return one row per person: membership, mean absolute error, score by attack, and exposure.

    Exposure is empty where the references are too few to say anything of single people.
    """
    target = open_target(made / RUN, ThreatModel(), model=code)
    with computing(target, device):
        view = see(target, [], made / AUDIT / "signals")
    error = target.people.mean(np.abs(view.residual))
    found = pd.DataFrame(
        {"subject": target.people.ids, "error": error, "label": target.people.mean(view.label)}
    )
    scores = read_table(made / AUDIT / SCORES, dtype={"pseudonym": str})
    key = read_table(made / AUDIT / KEY, dtype=str)
    scores = key.merge(scores, on="pseudonym", validate="1:1").drop(columns="pseudonym")
    return found.merge(scores, on="subject", validate="1:1").sort_values("subject", ignore_index=True)


def read_people(directory: Path) -> pd.DataFrame:
    """Read what :func:`people_table` returned, indexed by subject."""
    return read_table(directory / PEOPLE, dtype={"subject": str}).set_index("subject")


def read_point(point: Point, directories: Sequence[Path], subjects: Sequence[str]) -> Measured:
    """Return what finished tasks found of a point, one directory for each seed."""
    audits = [AuditResult.load(path / AUDIT) for path in directories]
    only = str(audits[0].content["verdict"]["basis"]["attack"])
    return Measured(
        point,
        seeds=SeedsOfModels.of([read_people(path) for path in directories], subjects, only),
        verdicts=tuple(audit.verdict for audit in audits),
        guarantee=Run.open(directories[0] / RUN).guarantee,
    )
