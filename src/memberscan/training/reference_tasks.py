"""Train reference models: one task per model, carried out in parallel and resumed at the task."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, StaleError
from memberscan.files import OWNER_ONLY, append_line, fingerprint, write_json
from memberscan.progress import progress
from memberscan.received import load_json
from memberscan.references.ensemble import Ensemble, finish, read_predictions, write_predictions, write_scans
from memberscan.references.plan import Plan, name_of
from memberscan.target_variable import TargetVariable
from memberscan.task_pool import Engine, carry_out
from memberscan.training.central import TIMINGS
from memberscan.training.checkpoint import remove_checkpoint

if TYPE_CHECKING:
    from memberscan.training.recipes import Answers, Recipe

TASKS = "tasks"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Task:
    """The training of one reference.

    Parameters
    ----------
    name
        Of the reference.
    members
        Subjects to train on.
    seed
        Decides every random number of the training.
    recipe
        How to train.
    cohort
        Directory of the cohort.
    target
        What the reference is to predict.
    checkpoint
        File for the state of an interrupted training.
    weights
        Directory for the weights; None to keep none.
    """

    name: str
    members: tuple[str, ...]
    seed: int
    recipe: Recipe
    cohort: Path
    target: TargetVariable
    checkpoint: Path
    weights: Path | None

    @property
    def fingerprint(self) -> str:
        """A digest of everything that decides the result."""
        return fingerprint([self.name, list(self.members), self.seed, self.recipe.fingerprint])


def train_task(task: Task) -> tuple[Answers, float]:
    """Train one reference; return its predictions of all scans, and the seconds that it took."""
    started = time.perf_counter()
    task.checkpoint.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = task.recipe.train(
        Cohort.open(task.cohort).with_target(task.target),
        task.members,
        task.seed,
        task.checkpoint,
        task.weights,
    )
    remove_checkpoint(task.checkpoint)
    return found, time.perf_counter() - started


def train_all(
    directory: Path,
    plan: Plan,
    cohort: Cohort,
    recipe: Recipe,
    *,
    seed: int,
    workers: int,
    engine: Engine = "local",
    address: str | None = None,
    budget: float | None = None,
    keep_weights: bool = False,
) -> Ensemble | None:
    """Train the references of a plan that are not trained yet, and finish their directory.

    Parameters
    ----------
    directory
        A claimed output directory.
    plan
        Who is in each reference.
    cohort, recipe
        What to train on, and how.
    seed
        Root seed of the references' random numbers.
    workers, engine, address
        See :func:`memberscan.task_pool.carry_out`.
    budget
        Seconds after which no further reference is begun; a reference that would probably take longer is
        not begun either.
    keep_weights
        Whether to keep the models in ``weights``.

    Returns
    -------
    Ensemble or None
        None if the budget ended before all references were trained.

    Raises
    ------
    StaleError
        If a reference in the directory was trained in another way.
    """
    started = time.monotonic()
    # Others in the cohort, such as those who chose the epoch, are in no reference and are not predicted.
    asked = cohort.scans["subject_id"].isin(list(plan.subjects)).to_numpy()
    plan.write(directory)
    scans = cohort.scans.loc[asked, ["subject_id"]].assign(label=cohort.labels[asked])
    write_scans(directory, scans, cohort.target)
    tasks = [
        Task(
            name=name_of(k),
            members=tuple(plan.members(k)),
            seed=seeds.integer(seed, "reference", k),
            recipe=recipe,
            cohort=cohort.path.resolve(),
            target=cohort.target,
            checkpoint=(directory / TASKS / f"{name_of(k)}.safetensors").resolve(),
            weights=(directory / "weights" / name_of(k)).resolve() if keep_weights else None,
        )
        for k in range(len(plan.inside))
    ]
    digests = {task.name: done for task in tasks if (done := _finished(directory, task, int(asked.sum())))}
    left = [task for task in tasks if task.name not in digests]
    took: list[float] = []

    def time_is_left() -> bool:
        needed = sum(took) / len(took) if took else 0.0
        return budget is None or time.monotonic() - started + needed <= budget

    with progress("training references", len(tasks), done=len(digests)) as advance:
        results = carry_out(
            train_task, left, workers=workers, engine=engine, address=address, go_on=time_is_left
        )
        for task, (predictions, seconds) in results:
            digests[task.name] = write_predictions(directory, task.name, predictions[asked])
            # Last, since it says that the task is done.
            record = {"task": task.fingerprint, "predictions": digests[task.name]}
            write_json(_record(directory, task.name), record, mode=OWNER_ONLY)
            append_line(directory / TIMINGS, json.dumps({"stage": task.name, "seconds": round(seconds, 3)}))
            took.append(seconds)
            advance(1)
    if len(digests) < len(tasks):
        return None
    ordered = {task.name: digests[task.name] for task in tasks}
    return finish(
        directory,
        recipe=recipe.title,
        cohort=cohort.fingerprint,
        plan=plan,
        digests=ordered,
        keeps_to_plan=recipe.keeps_to_plan,
    )


def _record(directory: Path, name: str) -> Path:
    return directory / TASKS / f"{name}.json"


def _finished(directory: Path, task: Task, scans: int) -> str | None:
    """Return the digest of the predictions of a task that is done, or None."""
    path = _record(directory, task.name)
    if not path.is_file():
        return None
    stored = load_json(path)
    if not isinstance(stored, Mapping) or stored.get("task") != task.fingerprint:
        raise StaleError(
            f"{task.name} in {directory} was trained on other people or by another recipe (your function may "
            "have changed); delete the directory, or choose another"
        )
    digest = str(stored.get("predictions"))
    read_predictions(directory, task.name, scans, digest)
    return digest


def seconds_of(text: str) -> float:
    """Read a duration such as 2h, 90m or 45s.

    Raises
    ------
    BadInputError
        If it is not of this form, or not positive.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip().lower())
    if not found or float(found[1]) <= 0:
        raise BadInputError(f"budget {text!r} is not a duration; write 2h, 90m or 45s")
    return float(found[1]) * _UNITS[found[2]]
