"""One task of a reproduction: one model with one draw of people, trained and audited."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from memberscan.auditing import audit
from memberscan.auditing.failures import attempt
from memberscan.auditing.result import DONE, AuditResult
from memberscan.cohort import Cohort
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.reproduction import paper
from memberscan.threat import Access, Attacker, ThreatModel
from memberscan.training import TrainingConfig, train

if TYPE_CHECKING:
    from memberscan.models.model_options import ModelOptions

RUN, AUDIT = "run", "audit"


class Cell(NamedTuple):
    """What one figure of the page is about.

    Parameters
    ----------
    model
        The model.
    environment
        Of a federation; None for training in one place.
    epochs
        Of a training that keeps the last epoch, to see how leakage grows; None for the paper's rule.
    """

    model: str
    environment: str | None = None
    epochs: int | None = None

    @property
    def directory(self) -> str:
        """Its directory."""
        return "-".join(str(part) for part in self if part is not None)


@dataclass(frozen=True)
class Shared:
    """What all tasks have in common.

    Parameters
    ----------
    cohort
        Directory of the cohort.
    members, validation
        Share of the people that a model in one place is trained on, and share of these that are held out to
        choose the epoch; with none, the last epoch is kept.
    held_out, learners
        Of each federation.
    length
        Share of the paper's epochs and rounds.
    options, config
        Of the models, and of training; epochs and what is kept follow from the above.
    """

    cohort: Path
    members: float
    validation: float
    held_out: float
    learners: int
    length: float
    options: Mapping[str, Any]
    config: TrainingConfig

    @property
    def epochs(self) -> int:
        """Epochs in one place."""
        return max(1, round(self.length * paper.EPOCHS))

    @property
    def keep(self) -> Literal["best", "last"]:
        """Which epoch is kept: as in the paper the best one, if people are held out to choose it."""
        return "best" if self.validation else "last"

    @property
    def weaker(self) -> str | None:
        """Why models may leak less than the paper's, where that is known beforehand."""
        if self.length < 1:
            return "training was shorter than the paper’s, and leakage grows with it"
        if self.options.get("width", paper.WIDTH) < paper.WIDTH:
            return "models were narrower than the paper’s, and may leak less"
        return None

    def rounds(self, model: str) -> int:
        """Return the rounds of a federation of this model."""
        return max(1, round(self.length * paper.ROUNDS[model]))

    def settings(self, model: str, seed: int = 0) -> Settings:
        """Return how a federation of this model trains."""
        local = replace(self.config, epochs=paper.LOCAL_EPOCHS, keep="last", seed=seed)
        return Settings(model, cast("ModelOptions", dict(self.options)), local, rounds=self.rounds(model))


@dataclass(frozen=True)
class Task:
    """One cell with one draw.

    Parameters
    ----------
    cell
        What it is about.
    draw
        From 1; it decides initial weights, order of scans, and the draws of the audit.
    membership_seed
        Decides who is a member: the same for all models.
    directory
        For the run and its audit.
    shared
        What all tasks have in common.
    """

    cell: Cell
    draw: int
    membership_seed: int
    directory: Path
    shared: Shared

    def result(self) -> AuditResult:
        """Return what the finished task found."""
        return AuditResult.load(self.directory / AUDIT)


def carry_out_task(task: Task) -> tuple[str | None, float]:
    """Carry out one task; return why it failed, or None, and the seconds that it took."""
    return attempt(lambda: _carry_out(task), task.directory, task.shared.cohort)


def _carry_out(task: Task) -> None:
    """Train and audit: both go on where they were interrupted."""
    made = task.directory
    federated = task.cell.environment is not None
    if not (made / AUDIT / DONE).is_file():
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        (_federate if federated else _train)(task)
        _audit(task)
    # What attacks read can be computed again. A transcript holds every model of every round, which for all
    # federations together is far more than a disk may hold.
    shutil.rmtree(made / AUDIT / "signals", ignore_errors=True)
    if federated:
        shutil.rmtree(made / RUN, ignore_errors=True)


def _train(task: Task) -> None:
    shared, epochs = task.shared, task.cell.epochs
    config = replace(
        shared.config,
        epochs=shared.epochs if epochs is None else epochs,
        keep=shared.keep if epochs is None else "last",
        seed=task.draw,
    )
    train(
        Cohort.open(shared.cohort),
        task.directory / RUN,
        model=task.cell.model,
        members=shared.members,
        validation=shared.validation,
        options=shared.options,
        config=config,
        seed=task.membership_seed,
    )


def _federate(task: Task) -> None:
    shared, environment = task.shared, task.cell.environment
    assert environment is not None
    federate(
        Cohort.open(shared.cohort),
        task.directory / RUN,
        settings=shared.settings(task.cell.model, task.draw),
        environment=environment,
        learners=shared.learners,
        held_out=shared.held_out,
        seed=task.membership_seed,
    )


def _audit(task: Task) -> None:
    """Attack as the paper did: an outsider with the weights, or each learner all others."""
    cell = task.cell
    attacks = paper.ATTACKS if cell == Cell(cell.model) else (paper.BLACK_BOX, paper.WHITE_BOX)
    threat = (
        ThreatModel(Access.WEIGHTS) if cell.environment is None else ThreatModel(attacker=Attacker.LEARNER)
    )
    audit(
        task.directory / RUN,
        task.directory / AUDIT,
        threat=threat,
        attacks=attacks,
        device=task.shared.config.device,
        seed=task.draw,
    )
