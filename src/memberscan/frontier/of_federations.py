"""Make a frontier of a federation for each of its parties: every point is one federation, attacked by all."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from memberscan import seeds as seed_tree
from memberscan.attacks import named
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, TooFewSubjectsError
from memberscan.federation.environments import BY_COLUMN, divide
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import flower_engines
from memberscan.files import write_json
from memberscan.frontier.content import Federation, FrontierContent
from memberscan.frontier.curve import View, collect
from memberscan.frontier.federated_tasks import Federated, FederatedTask, carry_out_task, read_point
from memberscan.frontier.making import (
    DONE,
    NAMED,
    POINTS,
    ROOT_SEED,
    carry_out_cases,
    cases,
    measured,
    request_of,
    require_seeds,
    write_shown,
)
from memberscan.frontier.points import Base, Point, read_points
from memberscan.limits import FEWEST_PER_SIDE
from memberscan.models.inputs import trainings_at_a_time
from memberscan.models.target_head import for_target
from memberscan.output_directory import claim
from memberscan.received import load_json, stated
from memberscan.runs import Role
from memberscan.targets.known import known_held_out
from memberscan.task_pool import Engine
from memberscan.threat import Attacker, ThreatModel
from memberscan.training.kept_seeds import kept_seed

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
    """Federate with every defence at several strengths, attack each federation as every party, and compare.

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
        See :func:`memberscan.federate`.
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
    if settings.secure != "none":
        raise BadInputError(
            "the server of an encrypted federation sees no learner's model, and learners see what they see "
            "without encryption; use secure none"
        )
    require_seeds(seeds)
    shared = Federated(
        cohort=cohort.path.resolve(),
        target=cohort.target,
        settings=settings,
        environment=environment,
        learners=learners,
        held_out=held_out,
        by=by,
        attacks=ATTACKS,
    )
    points = read_points(list(defences), Base(settings.model, settings.training, 0.0, settings))
    root = kept_seed(path, ROOT_SEED, seed)
    count = _learners(cohort, shared, seed_tree.unguessable(root, NAMED, 1))
    request = {**_request(shared, points, cohort), "seeds": seeds, ROOT_SEED: root}
    with claim(path, request, done=DONE, grows="seeds") as finished:
        if finished:
            kept = load_json(path / DONE)
            of_party = kept if isinstance(kept, dict) else {}
            return {
                party: stated(FrontierContent, of_party.get(party), str(path / DONE)) for party in PARTIES
            }
        tasks = [
            FederatedTask(point=point, number=number, roles_seed=drawn, directory=directory, shared=shared)
            for point, number, drawn, directory in cases(path / POINTS, points, root, seeds)
        ]
        parallel = trainings_at_a_time(settings.training.device) if workers is None else workers
        failed = carry_out_cases(carry_out_task, path, tasks, parallel, engine, address)
        made = {}
        for party in PARTIES:
            read = functools.partial(read_point, subjects=cohort.subjects, party=party)
            found = measured(points, tasks, failed, read)
            made[party] = collect(found, cohort, _view(shared, party, count), seeds)
            (path / party).mkdir(exist_ok=True)
            write_shown(path / party, made[party])
        # Written last: it says that the frontier is finished.
        write_json(path / DONE, {party.value: content.dump() for party, content in made.items()})
        return made


def _learners(cohort: Cohort, shared: Federated, seed: int) -> int:
    """Return the number of learners, after dividing people once: what no point can do is no fault of one."""
    roles = divide(
        cohort,
        seed_tree.generator(seed, "federation"),
        environment=shared.environment,
        learners=shared.learners,
        held_out=shared.held_out,
        by=shared.by,
    )
    roles.require_both_sides()
    options: Any = for_target(shared.settings.options, cohort.target)
    flower_engines().check(cohort, roles, replace(shared.settings, options=options), "local")
    outside = np.arange(len(roles.subjects(Role.NONMEMBER)))
    threat = ThreatModel(attacker=Attacker.SERVER)
    known = known_held_out(threat, outside, len(outside), np.random.default_rng(0))
    largest = max(len(roles.members_of(name)) for name in roles.learners)
    if min(int((~known).sum()), largest) < FEWEST_PER_SIDE:
        raise TooFewSubjectsError(
            f"{len(outside)} people are held out, of whom attackers know {int(known.sum())}, and the largest "
            f"learner has {largest}; attacks need {FEWEST_PER_SIDE} held-out people whom they do not know, "
            f"and {FEWEST_PER_SIDE} people of a learner: hold out more, or have fewer learners"
        )
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
    for name in {name for names in shared.attacks.values() for name in names}:
        named(name)
    divided = {"environment": shared.environment, "learners": shared.learners}
    return {
        **request_of("federated-frontier", points, cohort, shared.settings.model, shared.settings.options),
        **(divided if shared.by is None else {"by": shared.by}),
        "settings": asdict(shared.settings),
        "held_out": shared.held_out,
        "attacks": {party.value: list(names) for party, names in shared.attacks.items()},
    }
