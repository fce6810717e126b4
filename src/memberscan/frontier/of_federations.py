"""Make a frontier of a federation for each of its parties: every point is one federation, attacked by all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from memberscan import seeds as seed_tree
from memberscan.attacks import named
from memberscan.cohort import Cohort
from memberscan.defences import own_code
from memberscan.errors import BadInputError
from memberscan.federation.environments import BY_COLUMN, divide
from memberscan.federation.settings import Settings
from memberscan.frontier.content import Federation, FrontierContent
from memberscan.frontier.curve import Measured, View, collect
from memberscan.frontier.federated_tasks import (
    Federated,
    FederatedTask,
    carry_out_task,
    read_point,
    simulated,
)
from memberscan.frontier.making import (
    DONE,
    NAMED,
    POINTS,
    ROOT_SEED,
    carry_out_cases,
    cases,
    reason_of,
    require_seeds,
    write,
)
from memberscan.frontier.points import Base, Point, read_points
from memberscan.models import ModelSpec
from memberscan.models.inputs import trainings_at_a_time
from memberscan.models.target_head import for_target
from memberscan.output_directory import claim
from memberscan.received import load_json, stated
from memberscan.task_pool import Engine
from memberscan.threat import Attacker
from memberscan.training.kept_seeds import kept_seed
from memberscan.user_code import named_function, source_digest

if TYPE_CHECKING:
    from memberscan.report.content.parts import Environment

PARTIES = (Attacker.LEARNER, Attacker.SERVER)
ATTACKS: Mapping[Attacker, tuple[str, ...]] = {
    Attacker.LEARNER: ("prediction+label", "gradient-magnitude", "loss-series"),
    Attacker.SERVER: ("local-error", "gradient-cosine", "least-squares"),
}
"""The attacks of each party: those of the study of defences of federations."""


def federated_frontier(
    cohort: Cohort | Path | str,
    path: Path | str,
    *,
    settings: Settings,
    defences: Sequence[str] = (),
    seeds: int = 3,
    environment: str = "uniform-iid",
    learners: int = 8,
    held_out: float = 0.2,
    by: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
) -> dict[Attacker, FrontierContent]:
    """Federate with every defence at several strengths, attack each as every party, and lay error against it.

    Every point is federated with the same seeds, and so with the same division of the same people. A learner
    attacks the people of the other learners, the server those of all. Each party has a page of its own, in
    the folder ``learner`` or ``server``.

    Parameters
    ----------
    cohort
        The cohort, or its directory.
    path
        Where all is kept; an unfinished frontier there is continued. With more ``seeds``, further ones are
        added.
    settings
        How the undefended federations train; points change them.
    defences
        A table of points, or names: as of :func:`memberscan.frontier.frontier`. Early stopping is fewer
        rounds here.
    seeds
        How often each point is federated, each time with another division of people.
    environment, learners, held_out, by
        See :func:`memberscan.federation.simulated_run.federate`.
    seed, workers, engine, address
        As of :func:`memberscan.frontier.frontier`.

    Raises
    ------
    MemberscanError
        One of its kinds, if an argument makes no sense. A point that fails is shown as failed instead.
    """
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort)
    path = Path(path)
    if settings.training.defence is not None:
        raise BadInputError("the settings have a defence; name it among the defences instead")
    simulated(settings.secure)
    require_seeds(seeds)
    chosen: Any = for_target(settings.options, cohort.target)
    shared = Federated(
        cohort=cohort.path.resolve(),
        target=cohort.target,
        settings=replace(settings, options=chosen),
        environment=environment,
        learners=learners,
        held_out=held_out,
        by=by,
        attacks=ATTACKS,
    )
    points = read_points(list(defences), Base(settings.model, settings.training, 0.0, shared.settings))
    root = kept_seed(path, ROOT_SEED, seed)
    count = _learners(cohort, shared, seed_tree.unguessable(root, NAMED, 1))
    request = {**_request(shared, points, cohort), "seeds": seeds, ROOT_SEED: root}
    # The party that is written last is finished only if all are.
    last = f"{PARTIES[-1]}/{DONE}"
    with claim(path, request, done=last, grows="seeds") as finished:
        if finished:
            return {party: _read(path / party / DONE) for party in PARTIES}
        tasks = [
            FederatedTask(point=point, number=number, roles_seed=drawn, directory=directory, shared=shared)
            for point, number, drawn, directory in cases(path / POINTS, points, root, seeds)
        ]
        parallel = trainings_at_a_time(settings.training.device) if workers is None else workers
        failed = carry_out_cases(carry_out_task, path, tasks, parallel, engine, address)
        made = {}
        for party in PARTIES:
            measured = [_measured(point, tasks, failed, party, cohort) for point in points]
            made[party] = collect(measured, cohort, _view(shared, party, count), seeds)
            (path / party).mkdir(exist_ok=True)
            write(path / party, made[party])
        return made


def _learners(cohort: Cohort, shared: Federated, seed: int) -> int:
    """Return the number of learners, after dividing people once: too few are no fault of a point."""
    roles = divide(
        cohort,
        seed_tree.generator(seed, "federation"),
        environment=shared.environment,
        learners=shared.learners,
        held_out=shared.held_out,
        by=shared.by,
    )
    roles.require_both_sides()
    return len(roles.learners)


def _view(shared: Federated, party: Attacker, learners: int) -> View:
    access = party.access
    assert access is not None  # of every party
    federation = Federation(
        learners=learners,
        rounds=shared.settings.rounds,
        environment=cast("Environment", BY_COLUMN if shared.by is not None else shared.environment),
        parties=tuple(each.value for each in PARTIES),
    )
    return View(shared.settings.model, 0, shared.attacks[party], party, access, federation)


def _request(shared: Federated, points: Sequence[Point], cohort: Cohort) -> dict[str, Any]:
    """Return what decides the result, apart from the seeds."""
    settings = shared.settings
    spec = ModelSpec.to_train(settings.model, cohort.shape, settings.options)
    factory = named_function(shared.code, "model", BadInputError) if shared.code else None
    for name in {name for names in shared.attacks.values() for name in names}:
        named(name)
    return {
        "command": "federated-frontier",
        "memberscan": version("memberscan"),
        "cohort": cohort.fingerprint,
        "target": asdict(shared.target),
        "model": spec.to_dict(),
        "model_code": None if factory is None else source_digest(factory),
        "points": [[point.name, point.defence, dict(point.settings)] for point in points],
        "defence_code": {name: code for p in points for name, code in own_code(p.defence).items()},
        "settings": asdict(settings),
        "environment": shared.environment,
        "learners": shared.learners,
        "held_out": shared.held_out,
        "by": shared.by,
        "attacks": {party.value: list(names) for party, names in shared.attacks.items()},
    }


def _measured(
    point: Point,
    tasks: Sequence[FederatedTask],
    failed: Mapping[Path, str],
    party: Attacker,
    cohort: Cohort,
) -> Measured:
    """Return what a party found at a point."""
    if reason := reason_of(point, tasks, failed):
        return Measured(point, failed=reason)
    mine = [task.directory for task in tasks if task.point is point]
    return read_point(point, mine, cohort.subjects, party)


def _read(path: Path) -> FrontierContent:
    return stated(FrontierContent, load_json(path), str(path))
