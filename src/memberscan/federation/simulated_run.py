"""Simulate a federation on a cohort, from the draw of roles to the finished run with its transcript."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from memberscan import seeds, threads
from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.errors import MissingExtraError
from memberscan.federation.environments import BY_COLUMN, divide
from memberscan.federation.settings import Settings
from memberscan.files import append_line
from memberscan.models import AgeRegressor, ModelSpec, build
from memberscan.models.target_head import for_target
from memberscan.output_directory import claim
from memberscan.runs import Roles, Run
from memberscan.runs.run import DONE, ROLES
from memberscan.runs.transcript import ROUNDS, Transcript
from memberscan.training.central import finish_with_defence, guaranteed, scans_of, write_weights
from memberscan.training.kept_seeds import DEFENCE_SEED, MEMBERSHIP_SEED, defence_request, kept_seed
from memberscan.training.loop import size_of

TIMINGS = "timings.jsonl"


def federate(
    cohort: Cohort | Path | str,
    path: Path | str,
    *,
    settings: Settings,
    environment: str = "uniform-iid",
    learners: int = 8,
    held_out: float = 0.2,
    by: str | None = None,
    engine: str = "local",
    seed: int | None = None,
) -> Run:
    """Train a federation that is simulated on this machine, and keep its transcript.

    Parameters
    ----------
    cohort
        The cohort, or its directory; each learner gets a part of it.
    path
        Directory of the run. An unfinished federation there is resumed; a finished one is returned unchanged.
        One with fewer ``rounds`` but otherwise equal settings continues from its last round, unless what the
        defence does depends on the number of rounds.
    settings
        Model, rounds, how a learner trains, and what is protected.
    environment, learners
        How subjects are divided: see :func:`memberscan.federation.environments.draw_roles`.
    held_out
        Share of the subjects kept out: the non-members of an audit.
    by
        A covariate whose values become the learners, instead of ``environment`` and ``learners``.
    engine
        "local" or "ray".
    seed
        Seed of the draw of held-out subjects and of the learners' subjects; by default a secret seed, see
        ``train``. The training's own seed is in ``settings``.

    Raises
    ------
    BadInputError
        If an argument is out of range, or the model does not fit the cohort; nothing is written then.
    OutputConflictError
        If ``path`` holds a run made with another configuration.
    MissingExtraError
        If Flower, or what ``engine`` or ``settings.secure`` need, is not installed.
    FederationError
        If too few learners are left in a round.
    """
    engines = flower_engines()
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort)
    path = Path(path)
    chosen: Any = for_target(settings.options, cohort.target)
    settings = replace(settings, options=chosen)
    extra = defence_request(path, settings.training, seed)
    seed = kept_seed(path, MEMBERSHIP_SEED, seed)
    rng = seeds.generator(seed, "federation")
    roles = divide(cohort, rng, environment=environment, learners=learners, held_out=held_out, by=by)
    roles.require_both_sides()
    environment = environment if by is None else BY_COLUMN
    engines.check(cohort, roles, settings, engine)
    guarantee = _guarantees(cohort, roles, settings)
    request = {
        "command": "federate",
        "cohort": cohort.fingerprint,
        "environment": environment,
        "roles": roles.fingerprint,
        "engine": engine,
        MEMBERSHIP_SEED: seed,
        **asdict(settings),
        **extra,
    }
    grows = "rounds" if defence_from(settings.training.defence).extendable() else ""
    with claim(path, request, done=DONE, grows=grows) as finished:
        if finished:
            return Run.open(
                path, model=ModelSpec.to_train(settings.model, cohort.shape, settings.options).code
            )
        roles.write(path / ROLES)
        keys = _keys(path) if settings.secure == "ckks" else None
        started = time.perf_counter()
        defence_seed = extra.get(DEFENCE_SEED)
        with threads.suited(cohort.shape):
            engines.simulate(
                cohort,
                roles,
                settings,
                path / ROUNDS,
                engine=engine,
                keys=keys,
                defence_seed=defence_seed,
                code=settings.model,
            )
            count = torch.get_num_threads() if engine == "local" else 1
        seconds = round(time.perf_counter() - started, 3)
        return _finish(
            path, cohort, roles, settings, environment, seconds, count, defence_seed or 0, guarantee
        )


def _finish(
    path: Path,
    cohort: Cohort,
    roles: Roles,
    settings: Settings,
    environment: str,
    seconds: float,
    threads: int,
    defence_seed: int,
    guarantee: dict[str, Any] | None,
) -> Run:
    transcript = Transcript.open(path / ROUNDS)
    spec = ModelSpec.to_train(settings.model, cohort.shape, settings.options)
    network = final_network(settings, cohort.shape, path / ROUNDS, defence_seed)
    training = {
        **asdict(settings.training),
        "threads": threads,
        "torch": torch.__version__,
        "guarantee": guarantee,
    }
    write_weights(path, network)
    federation: Mapping[str, Any] = {
        "environment": environment,
        "rounds": len(transcript.rounds),
        "local_epochs": settings.training.epochs,
        "secure": settings.secure,
    }
    # Only members of IID learners are exchangeable with held-out subjects.
    randomised = environment.endswith("-iid")
    run = Run(
        path,
        spec,
        roles,
        randomised,
        cohort.path,
        cohort.fingerprint,
        training,
        federation,
        code=spec.code,
        target=cohort.target,
    ).finish()
    append_line(path / TIMINGS, json.dumps({"stage": "federate", "seconds": seconds}))
    return run


def _guarantees(cohort: Cohort, roles: Roles, settings: Settings) -> dict[str, Any] | None:
    """Return what the defence of each learner guarantees; None without a defence."""
    if settings.training.defence is None:
        return None
    training, scans = settings.training, {n: scans_of(cohort, roles.members_of(n)) for n in roles.learners}
    return {
        n: guaranteed(training, size_of(cohort, own, training, settings.rounds)) for n, own in scans.items()
    }


def final_network(
    settings: Settings, shape: Sequence[int], transcript: Path, defence_seed: int
) -> AgeRegressor:
    """Return the global model of the last round, finished by the defence if there is one.

    The settings are those of a simulation on this machine, whose user named the factory, if there is one.
    """
    rounds = Transcript.open(transcript)
    spec = ModelSpec.to_train(settings.model, shape, settings.options)
    network = build(spec, code=spec.code)
    assert isinstance(network, AgeRegressor)
    network.load_state_dict(rounds.global_model(len(rounds.rounds)))
    finish_with_defence(network, settings.training, defence_seed)
    return network


def flower_engines() -> Any:
    """Return the module of the engines; :class:`MissingExtraError` if Flower is not installed."""
    try:
        from memberscan.federation import engines
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"a federation needs Flower ({error.name} is not installed): pip install 'memberscan[federated]'"
        ) from error
    return engines


def _keys(path: Path) -> tuple[bytes, bytes]:
    """Return the federation's keys, which are made once; in a simulation, one machine has both."""
    from memberscan.federation.ckks import PUBLIC, SECRET, read_key, write_keys

    # The public key is written last.
    if not (path / PUBLIC).exists():
        (path / SECRET).unlink(missing_ok=True)
        write_keys(path)
    return read_key(path / SECRET), read_key(path / PUBLIC)
