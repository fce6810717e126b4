"""From a cohort to a finished run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from memberscan import seeds, threads
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError
from memberscan.files import OWNER_ONLY, REQUEST, append_line, claim, write_bytes, write_text
from memberscan.models import AgeRegressor, ModelSpec, build
from memberscan.models.inputs import resolve_device
from memberscan.models.weights import writable
from memberscan.received import load_json
from memberscan.runs import Role, Roles, Run
from memberscan.runs.run import DONE, HISTORY, ROLES, WEIGHTS
from memberscan.training.loop import TrainingConfig, fit

CHECKPOINT = "checkpoint.safetensors"
TIMINGS = "timings.jsonl"
MEMBERSHIP_SEED = "membership_seed"


def train(
    cohort: Cohort | Path | str,
    path: Path | str,
    *,
    model: str,
    members: float | Roles | Path | str = 0.5,
    validation: float = 0.0,
    options: Mapping[str, Any] | None = None,
    config: TrainingConfig | None = None,
    seed: int | None = None,
) -> Run:
    """Train a target model and write a run.

    Parameters
    ----------
    cohort
        The cohort, or its directory.
    path
        Directory of the run; an unfinished run there is resumed, a finished one returned as it is.
    model
        ``cnn3d``, ``slice-mean`` or ``mlp``.
    members
        Share of the subjects to train on, drawn at random; or the roles themselves, or a roles file.
    validation
        Share of the members held out to choose the epoch by.
    options
        Keyword arguments of the model, such as ``width``.
    config
        How to train; its seed decides the initial weights and the order of scans, and nobody's membership.
    seed
        Of the draw of members. Without one a secret seed is taken, and kept in ``request.json`` for the owner
        alone: with a seed that can be guessed, whoever has the list of subjects can draw the members again.

    Raises
    ------
    OutputConflictError
        If ``path`` holds a run made with another configuration.
    TooFewSubjectsError
        If fewer than ten members or non-members remain.
    """
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort)
    path, config = Path(path), config or TrainingConfig()
    spec = ModelSpec(model, cohort.shape, dict(options or {}))
    randomised = isinstance(members, (int, float))
    resolve_device(config.device)
    seed = membership_seed(path, seed) if randomised else None
    roles = chosen_roles(cohort, members, validation, seed or 0)
    if (config.keep == "best" or config.patience) and not roles.subjects(Role.VALIDATION):
        raise BadInputError(
            "keep best and patience need validation subjects to choose the epoch by; add --validation 0.1, "
            "or give some subjects that role in the roles file"
        )
    network = _target(spec, config.seed)
    config = replace(config, learning_rate=config.rate_for(network))
    request = {
        "command": "train",
        "cohort": cohort.fingerprint,
        "model": spec.to_dict(),
        "roles": roles.fingerprint,
        MEMBERSHIP_SEED: seed,
        **config.to_dict(),
    }
    with claim(path, request, done=DONE) as finished:
        if finished:
            (path / CHECKPOINT).unlink(missing_ok=True)
            return Run.open(path)
        with threads.suited(cohort.shape):
            return _train(network, cohort, path, spec, roles, config, randomised=randomised)


def _train(
    network: AgeRegressor,
    cohort: Cohort,
    path: Path,
    spec: ModelSpec,
    roles: Roles,
    config: TrainingConfig,
    *,
    randomised: bool,
) -> Run:
    roles.write(path / ROLES)
    started, scans = time.perf_counter(), cohort.scans
    ids = {role: scans.index[scans["subject_id"].isin(roles.subjects(role))].tolist() for role in Role}
    state = fit(network, cohort, ids[Role.MEMBER], ids[Role.VALIDATION], config, path / CHECKPOINT)
    # Exact errors, epoch by epoch, are as good as a digest of who was trained on.
    lines = "".join(json.dumps(row) + "\n" for row in state.history)
    write_text(path / HISTORY, lines, mode=OWNER_ONLY)
    training = {
        **config.to_dict(),
        "kept_epoch": state.best_epoch if config.keep == "best" else state.epoch,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    write_weights(path, network)
    run = Run(path, spec, roles, randomised, cohort.path, cohort.fingerprint, training).finish()
    seconds = round(time.perf_counter() - started, 3)
    append_line(path / TIMINGS, json.dumps({"stage": "train", "seconds": seconds}))
    (path / CHECKPOINT).unlink(missing_ok=True)
    return run


def membership_seed(path: Path, given: int | None) -> int:
    """Return the seed to draw members with: the one given, that of the run at ``path``, or a secret one.

    Raises
    ------
    BadInputError
        If the seed is negative.
    """
    if given is not None:
        if given < 0:
            raise BadInputError(f"seed is {given}; give a whole number from 0")
        return given
    stored = load_json(path / REQUEST) if (path / REQUEST).is_file() else None
    earlier = stored.get(MEMBERSHIP_SEED) if isinstance(stored, dict) else None
    return earlier if type(earlier) is int and earlier >= 0 else seeds.secret()


def chosen_roles(cohort: Cohort, members: float | Roles | Path | str, validation: float, seed: int) -> Roles:
    """Draw the roles, or take those that are given; at least ten subjects a side."""
    if isinstance(members, (int, float)):
        rng = seeds.generator(seed, "roles")
        roles = Roles.draw(cohort.subjects, members=members, validation=validation, rng=rng)
    else:
        given = members if isinstance(members, Roles) else Roles.read(Path(members))
        roles = given.restrict(cohort.subjects, absent=cohort.excluded["subject_id"].tolist())
    roles.require_both_sides()
    return roles


def _target(spec: ModelSpec, seed: int) -> AgeRegressor:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer(seed, "weights"))
        network = build(spec, code=spec.name)
    if not isinstance(network, AgeRegressor):
        raise ModelError(
            f"{spec.name!r} is not one of our models; train it with your own code, then use memberscan import"
        )
    return network


def write_weights(path: Path, network: torch.nn.Module) -> None:
    """Write a run's weights."""
    write_bytes(path / WEIGHTS, save(writable(network.state_dict())))
