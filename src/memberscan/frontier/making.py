"""Make a frontier: train and audit every point with every seed, and write what was found."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from memberscan import seeds as seed_tree
from memberscan.attacks import named
from memberscan.auditing.failures import carry_out_all
from memberscan.cohort import Cohort
from memberscan.defences import own_code
from memberscan.errors import BadInputError
from memberscan.files import write_json, write_text
from memberscan.frontier.content import FrontierContent
from memberscan.frontier.curve import Measured, View, collect
from memberscan.frontier.page import render
from memberscan.frontier.points import Base, Point, read_points
from memberscan.frontier.table import table_of
from memberscan.frontier.tasks import Shared, Task, carry_out_task, read_point
from memberscan.models import ModelSpec
from memberscan.models.inputs import resolve_device, trainings_at_a_time
from memberscan.models.target_head import for_target
from memberscan.output_directory import claim
from memberscan.received import load_json, stated
from memberscan.references.plan import FEWEST, MOST
from memberscan.task_pool import Engine
from memberscan.threat import Access, Attacker, ThreatModel
from memberscan.training import TrainingConfig
from memberscan.training.central import chosen_roles
from memberscan.training.kept_seeds import kept_seed
from memberscan.user_code import named_function, source_digest

DONE, TABLE, PAGE = "frontier.json", "table.csv", "index.html"
POINTS, TIMINGS = "points", "timings.jsonl"
ROOT_SEED, NAMED = "root_seed", "frontier"
ATTACKS = ("stacking", "lira:regression", "empirical-bayes", "base", "error:zero-knowledge")
"""The attacks with references that found most in the study of references, and one without any."""


def frontier(
    cohort: Cohort | Path | str,
    path: Path | str,
    *,
    model: str,
    defences: Sequence[str] = (),
    references: int = 8,
    seeds: int = 3,
    attacks: Sequence[str] = (),
    access: Access | str = Access.OUTPUTS,
    members: float = 0.5,
    validation: float = 0.1,
    options: Mapping[str, Any] | None = None,
    config: TrainingConfig | None = None,
    seed: int | None = None,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
) -> FrontierContent:
    """Train every defence at several strengths, attack each, and lay error against leakage.

    Every point is trained with the same seeds, and so on the same draws of the same people. Its references
    are trained with its own recipe, defence included, so that the attacks are adapted to the defence.

    Parameters
    ----------
    cohort
        The cohort, or its directory; as for :func:`memberscan.train`.
    path
        Where all is kept; an unfinished frontier there is continued. With more ``seeds``, further ones are
        added.
    model, members, validation, options, config
        See :func:`memberscan.train`; points change ``options`` and ``config``. The people held out
        are the same for all points, and are on neither side.
    defences
        A table of points, or names: see the guide to frontiers. By default all.
    references
        How many are trained for each point and seed; even. With fewer than four, nothing can be said of the
        most exposed people.
    seeds
        How often each point is trained, each time on another draw of members.
    attacks
        Names; by default those with references that found most, and the error alone.
    access
        What the attacker sees: "outputs" or "weights".
    seed
        Root seed of the draws of members and of the defences' random numbers; by default a secret one, kept
        for the owner. Whoever knows it can repeat the draws.
    workers
        How many tasks (a point with a seed) run at a time; by default one per core, or one on a CUDA card.
    engine, address
        "local", or "ray" for a Ray cluster at an address.

    Raises
    ------
    MemberscanError
        One of its kinds, if an argument makes no sense. A point that fails is shown as failed instead.
    """
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort)
    path, config = Path(path), config or TrainingConfig()
    if config.defence is not None:
        raise BadInputError("the configuration has a defence; name it among the defences instead")
    shared = Shared(
        cohort=cohort.path.resolve(),
        target=cohort.target,
        model=model,
        members=members,
        validation=validation,
        options=dict(options or {}),
        config=config,
        references=references,
        attacks=tuple(attacks) or ATTACKS,
        access=Access.parse(access),
    )
    _require_sense(shared, seeds)
    points = read_points(list(defences), Base(model, config, validation))
    root = kept_seed(path, ROOT_SEED, seed)
    # All points have these people, so that too few of them are no fault of a point.
    chosen_roles(cohort, members, validation, seed_tree.unguessable(root, NAMED, 1))
    request = {**_request(shared, points, cohort), "seeds": seeds, ROOT_SEED: root}
    with claim(path, request, done=DONE, grows="seeds") as finished:
        if finished:
            return stated(FrontierContent, load_json(path / DONE), str(path / DONE))
        tasks = [
            Task(point=point, number=number, membership_seed=drawn, directory=directory, shared=shared)
            for point, number, drawn, directory in cases(path / POINTS, points, root, seeds)
        ]
        parallel = trainings_at_a_time(config.device) if workers is None else workers
        failed = carry_out_cases(carry_out_task, path, tasks, parallel, engine, address)
        view = View(shared.model, shared.references, shared.attacks, Attacker.OUTSIDER, shared.access)
        found = measured(points, tasks, failed, functools.partial(read_point, subjects=cohort.subjects))
        content = collect(found, cohort, view, seeds)
        write_shown(path, content)
        # Written last: it says that the frontier is finished.
        write_json(path / DONE, content.dump())
        return content


def _request(shared: Shared, points: Sequence[Point], cohort: Cohort) -> dict[str, Any]:
    """Return what decides the result, apart from the seeds."""
    return {
        **request_of("frontier", points, cohort, shared.model, shared.options),
        "members": shared.members,
        "validation": shared.validation,
        "training": asdict(shared.config),
        "references": shared.references,
        "attacks": list(shared.attacks),
        "access": shared.access.value,
    }


def request_of(
    command: str, points: Sequence[Point], cohort: Cohort, model: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the part of a request that frontiers of models and of federations have in common."""
    spec = ModelSpec.to_train(model, cohort.shape, for_target(options, cohort.target))
    factory = named_function(model, "model", BadInputError) if ":" in model else None
    return {
        "command": command,
        "memberscan": version("memberscan"),
        "cohort": cohort.fingerprint,
        "target": asdict(cohort.target),
        "model": spec.to_dict(),
        "model_code": None if factory is None else source_digest(factory),
        "points": [[point.name, point.defence, dict(point.settings)] for point in points],
        "defence_code": {name: code for p in points for name, code in own_code(p.defence).items()},
    }


def cases(
    folder: Path, points: Sequence[Point], root: int, seeds: int
) -> Iterator[tuple[Point, int, int, Path]]:
    """Yield each point with each seed, all points of the first seed first.

    With the number of the seed come the seed of the draw of members, which all points share, and where the
    task keeps its files.
    """
    for number in range(1, seeds + 1):
        drawn = seed_tree.unguessable(root, NAMED, number)
        for place, point in enumerate(points, start=1):
            directory = folder / f"point-{place:03d}" / f"seed-{number}"
            yield point, number, drawn, directory.resolve()


def require_seeds(seeds: int) -> None:
    """Refuse a number of seeds below 1."""
    if seeds < 1:
        raise BadInputError(f"seeds is {seeds}; give at least 1")


def _require_sense(shared: Shared, seeds: int) -> None:
    for name in shared.attacks:
        named(name)
    # An outsider cannot have every kind of access.
    ThreatModel(shared.access)
    require_seeds(seeds)
    count = shared.references
    if count % 2 or not FEWEST <= count <= MOST:
        raise BadInputError(f"references is {count}; give an even number from {FEWEST} to {MOST}")
    resolve_device(shared.config.device)


class Case(Protocol):
    """One point with one seed."""

    @property
    def point(self) -> Point:
        """The recipe."""

    @property
    def number(self) -> int:
        """Of the seed, from 1."""

    @property
    def directory(self) -> Path:
        """Where the case keeps its files."""


C = TypeVar("C", bound=Case)


def carry_out_cases(
    function: Callable[[C], tuple[str | None, float]],
    path: Path,
    tasks: Sequence[C],
    workers: int,
    engine: Engine,
    address: str | None,
) -> dict[Path, str]:
    """Carry out all tasks, and return why some failed, by their directory."""
    (path / POINTS).mkdir(mode=0o700, exist_ok=True)
    failed = carry_out_all(
        function,
        tasks,
        path / TIMINGS,
        lambda task: {"point": task.point.name, "seed": task.number},
        title="points and seeds",
        workers=workers,
        engine=engine,
        address=address,
    )
    return {task.directory: reason for task, reason in failed}


def measured(
    points: Sequence[Point],
    tasks: Sequence[C],
    failed: Mapping[Path, str],
    read: Callable[[Point, Sequence[Path]], Measured],
) -> list[Measured]:
    """Return what was found at each point; a point has failed if one of its seeds did.

    Parameters
    ----------
    points, tasks, failed
        The points, their tasks, and why some failed.
    read
        Returns what the directories of a point's tasks hold; it raises BadInputError if they have nothing in
        common.
    """
    found = []
    for point in points:
        mine = [task for task in tasks if task.point is point]
        of_seeds = f" (seed {{}} of {len(mine)})" if len(mine) > 1 else ""
        reasons = [
            failed[task.directory] + of_seeds.format(task.number) for task in mine if task.directory in failed
        ]
        try:
            found.append(
                Measured(point, reasons[0]) if reasons else read(point, [task.directory for task in mine])
            )
        except BadInputError as error:
            found.append(Measured(point, str(error)))
    return found


def write_shown(folder: Path, content: FrontierContent) -> None:
    """Write the table and the page."""
    write_text(folder / TABLE, table_of(content).to_csv(index=False))
    write_text(folder / PAGE, render(content))
