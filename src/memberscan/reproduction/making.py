"""Make a reproduction: train and audit everything that the paper did, and write what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memberscan import seeds as seed_tree
from memberscan.auditing.failures import carry_out_all
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.federation.environments import ENVIRONMENTS, draw_roles
from memberscan.federation.simulated_run import flower_engines
from memberscan.files import write_json, write_text
from memberscan.models import ModelSpec
from memberscan.models.inputs import resolve_device, trainings_at_a_time
from memberscan.output_directory import claim
from memberscan.received import load_json, stated
from memberscan.reproduction import paper
from memberscan.reproduction.collect import collect
from memberscan.reproduction.content import ReproductionContent
from memberscan.reproduction.page import render
from memberscan.reproduction.table import table_of
from memberscan.reproduction.tasks import Cell, Shared, Task, carry_out_task
from memberscan.task_pool import Engine
from memberscan.training import TrainingConfig
from memberscan.training.central import chosen_roles
from memberscan.training.kept_seeds import kept_seed

DONE, TABLE, PAGE = "reproduction.json", "table.csv", "index.html"
TASKS, TIMINGS = "tasks", "timings.jsonl"
ROOT_SEED, NAMED = "root_seed", "reproduction"
LENGTHS = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the epochs after which leakage is laid against overfitting."""
QUICK_DRAWS, QUICK_LENGTH = 3, 0.2
PAPERS = (paper.NAME,)


def reproduce(
    name: str,
    cohort: Cohort | Path | str,
    path: Path | str,
    *,
    quick: bool = False,
    draws: int | None = None,
    federated_draws: int = 1,
    length: float | None = None,
    members: float = 0.5,
    validation: float = 0.1,
    held_out: float = paper.HELD_OUT,
    learners: int = paper.LEARNERS,
    options: Mapping[str, Any] | None = None,
    config: TrainingConfig | None = None,
    seed: int | None = None,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
) -> ReproductionContent:
    """Do what a paper did on another cohort, and lay the figures beside the paper's claims.

    Both models are trained in one place on several draws of members, and attacked by the paper's eight
    attacks; and federated in its three environments and a fourth one, where every learner attacks every other
    one. How many people a model or a learner has follows from the cohort. Defaults are the paper's settings
    where they are known.

    Parameters
    ----------
    name
        The paper: "midl2021".
    cohort
        The cohort, or its directory; it must have volumes, and the age as target.
    path
        Where all is kept; an unfinished reproduction there is continued. With more ``draws``, further ones
        are added.
    quick
        Three draws and a fifth of the epochs and rounds, unless ``draws`` and ``length`` say otherwise.
    draws
        How often members are drawn anew in one place, each time with trainings of its own; by default 5.
    federated_draws
        How often each federation is drawn and trained; with one, intervals are over people only.
    length
        Share of the paper's epochs and rounds, by default 1.
    members, validation
        Share of the people to train on in one place, and share of these held out to choose the epoch. With
        none held out, the last epoch is kept.
    held_out, learners
        Of each federation: share of the people kept out, and number of learners.
    options
        Of the models, such as ``width``; the dropout is the paper's by default.
    config
        How to train. Its epochs, seed, and what it keeps are replaced.
    seed
        Root seed of the draws of people; by default a secret one, kept for the owner.
    workers
        How many tasks (a model with a draw) run at a time; by default one per core, or one on a CUDA card.
    engine, address
        "local", or "ray" for a Ray cluster at an address.

    Raises
    ------
    MemberscanError
        One of its kinds, if an argument makes no sense. A task that fails is shown as failed instead.
    """
    if name not in PAPERS:
        raise BadInputError(f"paper {name!r} is unknown; choose {', '.join(PAPERS)}")
    cohort, path = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort), Path(path)
    count = draws if draws is not None else QUICK_DRAWS if quick else paper.DRAWS
    shared = Shared(
        cohort=cohort.path.resolve(),
        members=members,
        validation=validation,
        held_out=held_out,
        learners=learners,
        length=length if length is not None else QUICK_LENGTH if quick else 1.0,
        options={"dropout": paper.DROPOUT, **(options or {})},
        config=config or TrainingConfig(learning_rate=paper.LEARNING_RATE),
    )
    times = (count, federated_draws)
    _require_sense(cohort, shared, times)
    root = kept_seed(path, ROOT_SEED, seed)
    _require_people(cohort, shared, root)
    request = {**_request(shared, cohort, federated_draws), "draws": count, ROOT_SEED: root}
    with claim(path, request, done=DONE, grows="draws") as finished:
        if finished:
            return stated(ReproductionContent, load_json(path / DONE), str(path / DONE))
        tasks = _tasks(path / TASKS, shared, root, times)
        parallel = trainings_at_a_time(shared.config.device) if workers is None else workers
        failed = _carry_out_all(path, tasks, parallel, engine, address)
        content = collect(_audits(tasks, failed), failed, cohort, shared, times)
        _write(path, content)
        return content


def _require_sense(cohort: Cohort, shared: Shared, times: tuple[int, int]) -> None:
    flower_engines()
    if not cohort.target.is_age:
        raise BadInputError("the paper’s models predict the age; give a cohort without another target")
    for name, value in zip(("draws", "federated_draws"), times, strict=True):
        if value < 1:
            raise BadInputError(f"{name} is {value}; give at least 1")
    if not 0 < shared.length <= 1:
        raise BadInputError(f"length is {shared.length}; give a share above 0, up to 1")
    if shared.config.defence is not None:
        raise BadInputError("the configuration has a defence, and the paper has none; leave it out")
    resolve_device(shared.config.device)
    for model in paper.MODELS:
        ModelSpec.to_train(model, cohort.shape, shared.options)
        shared.settings(model)


def _require_people(cohort: Cohort, shared: Shared, root: int) -> None:
    """Refuse a cohort with too few people before anything is trained."""
    first = seed_tree.unguessable(root, NAMED, "central", 1)
    chosen_roles(cohort, shared.members, shared.validation, first).require_both_sides()
    for environment in ENVIRONMENTS:
        rng = seed_tree.generator(first, "check")
        draw_roles(cohort, environment, shared.learners, shared.held_out, rng).require_both_sides()


def _request(shared: Shared, cohort: Cohort, federated_draws: int) -> dict[str, Any]:
    """Return what decides the result, apart from the draws in one place."""
    return {
        "command": "reproduce",
        "paper": paper.NAME,
        "memberscan": version("memberscan"),
        "cohort": cohort.fingerprint,
        "members": shared.members,
        "validation": shared.validation,
        "held_out": shared.held_out,
        "learners": shared.learners,
        "length": shared.length,
        "federated_draws": federated_draws,
        "options": dict(shared.options),
        "training": asdict(shared.config),
    }


def cells_of(shared: Shared) -> list[Cell]:
    """Return everything that is trained: in one place, shorter or to the end, and in each environment."""
    central = [Cell(model) for model in paper.MODELS]
    # With the last epoch kept, the model of the table is the one of full length, too.
    epochs = {max(1, round(share * shared.epochs)) for share in LENGTHS}
    shorter = sorted(epochs - ({shared.epochs} if shared.keep == "last" else set()))
    lengths = [Cell(model, None, n) for model in paper.MODELS for n in shorter]
    federated = [Cell(model, environment) for model in paper.MODELS for environment in ENVIRONMENTS]
    return [*central, *lengths, *federated]


def _tasks(folder: Path, shared: Shared, root: int, times: tuple[int, int]) -> list[Task]:
    """Return one task for each draw and cell, all cells of the first draw first."""
    return [
        Task(
            cell=cell,
            draw=draw,
            membership_seed=seed_tree.unguessable(root, NAMED, cell.environment or "central", draw),
            directory=(folder / cell.directory / f"draw-{draw}").resolve(),
            shared=shared,
        )
        for draw in range(1, max(times) + 1)
        for cell in cells_of(shared)
        if draw <= times[cell.environment is not None]
    ]


def _carry_out_all(
    path: Path, tasks: Sequence[Task], workers: int, engine: Engine, address: str | None
) -> dict[tuple[Cell, int], str]:
    """Carry out all tasks, and return why some failed, in the order of the tasks."""
    (path / TASKS).mkdir(mode=0o700, exist_ok=True)
    failed = carry_out_all(
        carry_out_task,
        tasks,
        path / TIMINGS,
        lambda task: {"task": task.cell.directory, "draw": task.draw},
        title="models and draws",
        workers=workers,
        engine=engine,
        address=address,
    )
    return {(task.cell, task.draw): reason for task, reason in failed}


def _audits(
    tasks: Sequence[Task], failed: Mapping[tuple[Cell, int], str]
) -> dict[Cell, list[Mapping[str, Any]]]:
    """Return what all draws of each cell found; a cell of which one draw failed has failed."""
    bad = {cell for cell, _ in failed}
    found: dict[Cell, list[Mapping[str, Any]]] = {}
    for task in tasks:
        if task.cell not in bad:
            found.setdefault(task.cell, []).append(task.result().content)
    return found


def _write(path: Path, content: ReproductionContent) -> None:
    """Write the table and the page, and last reproduction.json, which says that all is finished."""
    write_text(path / TABLE, table_of(content).to_csv(index=False))
    write_text(path / PAGE, render(content))
    write_json(path / DONE, content.dump())
