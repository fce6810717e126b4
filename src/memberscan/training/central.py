"""Train a model on a cohort in one place, from the draw of members to the finished run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from memberscan import seeds, threads
from memberscan.cohort import Cohort
from memberscan.defences import answering, defence_from
from memberscan.defences.defence import TrainingSize, generator_of
from memberscan.errors import BadInputError, ModelError
from memberscan.files import OWNER_ONLY, append_line, write_bytes, write_text
from memberscan.models import AgeRegressor, ModelSpec, build
from memberscan.models.inputs import as_inputs, resolve_device
from memberscan.models.target_head import for_target
from memberscan.models.trial import require_predicts
from memberscan.models.weights import writable
from memberscan.output_directory import claim
from memberscan.runs import Role, Roles, Run
from memberscan.runs.canaries import CANARIES, Canaries
from memberscan.runs.run import DONE, HISTORY, ROLES, SALT, WEIGHTS
from memberscan.salts import get_or_create, keyed
from memberscan.training.canaries import WHAT, draw_canaries, require_canaries
from memberscan.training.checkpoint import remove_checkpoint
from memberscan.training.config import TrainingConfig
from memberscan.training.kept_checkpoints import FOLDER, keeper, require_checkpoints
from memberscan.training.kept_seeds import (
    CANARY_SEED,
    DEFENCE_SEED,
    MEMBERSHIP_SEED,
    canary_request,
    defence_request,
    kept_seed,
)
from memberscan.training.loop import size_of
from memberscan.training.optimizers import learning_rate
from memberscan.training.teaching import fit_or_teach, require_students

CHECKPOINT = "checkpoint.safetensors"
TIMINGS = "timings.jsonl"


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
    canaries: int = 0,
    checkpoints: int = 0,
) -> Run:
    """Train a target model and write a run.

    Parameters
    ----------
    cohort
        The cohort, or its directory. Its target is the age, unless :meth:`.Cohort.with_target` chose another.
    path
        Directory of the run. An unfinished run there is resumed; a finished one is returned unchanged.
    model
        ``cnn3d``, ``slice-mean`` or ``mlp``, or ``package.module:factory`` of a function without arguments
        that returns a network of your own, whose output is read as a standardised age.
    members
        Share of the subjects to train on, drawn at random; or the roles themselves, or a roles file.
    validation
        Share of the members held out to choose the epoch, or to train the student of a defence.
    options
        Keyword arguments of the model, such as ``width``.
    config
        How to train. Its seed decides the initial weights and the order of scans, but not who is a member.
    seed
        Seed of the draw of members, and of a defence's random numbers. By default a secret seed, which is
        kept in ``request.json``, readable only by its owner. If a seed can be guessed, anyone with the list
        of subjects can repeat the draw of members, and remove a defence's noise. From a seed that is given,
        32 bits are made for the noise, which can all be tried.
    canaries
        Number of made-up people, of whom each is put in or left out by a fair coin, so that an audit can read
        back what the training guarantees: see ``memberscan.training.canaries``. The people
        that they are made from, at most half of the non-members, are on neither side of other findings.
    checkpoints
        Number of models to keep in the folder ``checkpoints`` of the run, after epochs that are evenly spaced
        before the last one: for an audit of an attacker who has them beside the finished model.

    Raises
    ------
    OutputConflictError
        If ``path`` holds a run made with another configuration.
    TooFewSubjectsError
        If fewer than ten members or non-members remain.
    BadInputError
        If the number of canaries or of checkpoints is not accepted.
    """
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort)
    path, config = Path(path), config or TrainingConfig()
    spec = ModelSpec.to_train(model, cohort.shape, for_target(options or {}, cohort.target))
    randomised = isinstance(members, (int, float))
    resolve_device(config.device)
    require_canaries(canaries)
    require_checkpoints(checkpoints, config)
    defence_from(config.defence).require_training(None)
    extra = defence_request(path, config, seed) | canary_request(path, canaries, seed)
    extra |= {"checkpoints": checkpoints} if checkpoints else {}
    seed = kept_seed(path, MEMBERSHIP_SEED, seed) if randomised else None
    roles = chosen_roles(cohort, members, validation, seed or 0)
    planted = None
    if canaries:
        planted, roles = draw_canaries(cohort, roles, canaries, extra[CANARY_SEED], config)
        roles.require_both_sides()
    _require_choice(config, roles)
    network = new_network(spec, config.seed)
    if spec.trained_here:
        require_predicts(network.eval(), as_inputs(cohort, cohort.scans.index[:2].tolist()), spec.name)
    config = replace(config, learning_rate=learning_rate(config, network))
    defence_from(config.defence).require(network, cohort)
    ids = {role: scans_of(cohort, roles.subjects(role)) for role in Role}
    require_students(config, bool(ids[Role.VALIDATION]))
    if planted is not None:
        cohort = planted.added_to(cohort)
        ids[Role.MEMBER] = ids[Role.MEMBER] + planted.scans(planted.inside)
    size = size_of(cohort, ids[Role.MEMBER], config, held_out=len(ids[Role.VALIDATION]))
    guarantee = guaranteed(config, size)
    request = {
        "command": "train",
        "cohort": cohort.fingerprint,
        "model": spec.to_dict(),
        "roles": roles.fingerprint,
        MEMBERSHIP_SEED: seed,
        **asdict(config),
        **extra,
    }
    with claim(path, request, done=DONE) as finished:
        if finished:
            remove_checkpoint(path / CHECKPOINT)
            return Run.open(path, model=spec.code)
        defence_seed = extra.get(DEFENCE_SEED, 0)
        with threads.suited(cohort.shape):
            return _train(
                network,
                cohort,
                path,
                spec,
                roles,
                ids,
                config,
                defence_seed,
                guarantee,
                planted,
                checkpoints,
                randomised=randomised,
            )


def _require_choice(config: TrainingConfig, roles: Roles) -> None:
    """Refuse a configuration that chooses the epoch where nobody is held out to choose it by."""
    if (config.keep == "best" or config.patience) and not roles.subjects(Role.VALIDATION):
        raise BadInputError(
            "keep best and patience need validation subjects to choose the epoch; add --validation 0.1, "
            "or give some subjects that role in the roles file"
        )


def _train(
    network: AgeRegressor,
    cohort: Cohort,
    path: Path,
    spec: ModelSpec,
    roles: Roles,
    ids: Mapping[Role, Sequence[str]],
    config: TrainingConfig,
    defence_seed: int,
    guarantee: Mapping[str, Any] | None,
    planted: Canaries | None,
    checkpoints: int,
    *,
    randomised: bool,
) -> Run:
    roles.write(path / ROLES)
    if planted is not None:
        planted.write(path / CANARIES)
    started = time.perf_counter()
    members, validation = ids[Role.MEMBER], ids[Role.VALIDATION]
    checkpoint, initial = path / CHECKPOINT, partial(new_network, spec)
    keep = keeper(path / FOLDER, network, checkpoints, config.epochs)
    state = fit_or_teach(
        network, cohort, members, validation, config, checkpoint, initial, defence_seed, after_epoch=keep
    )
    finish_with_defence(network, config, defence_seed)
    # The exact errors of every epoch identify the training set: whoever can repeat the training with a
    # guessed set of members can compare them.
    lines = "".join(json.dumps(row) + "\n" for row in state.history)
    write_text(path / HISTORY, lines, mode=OWNER_ONLY)
    changes = answering(config.defence)
    training = {
        **asdict(config),
        "kept_epoch": state.best_epoch if config.keep == "best" else state.epoch,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "guarantee": guarantee,
        **({} if changes is None else {"answers_changed_by": changes[0]}),
        **({} if planted is None else {"canaries": _about(path, planted, config)}),
    }
    write_weights(path, network)
    run = Run(
        path, spec, roles, randomised, cohort.path, cohort.fingerprint, training, code=spec.code,
        target=cohort.target,
    ).finish()  # fmt: skip
    seconds = round(time.perf_counter() - started, 3)
    append_line(path / TIMINGS, json.dumps({"stage": "train", "seconds": seconds}))
    remove_checkpoint(path / CHECKPOINT)
    return run


def _about(path: Path, canaries: Canaries, config: TrainingConfig) -> dict[str, Any]:
    """Return what everybody may know of canaries; who was in is only in the owner's file."""
    gaussian = defence_from(config.defence).gaussian_noise()
    digest = keyed(get_or_create(path / SALT), canaries.fingerprint)
    return {"count": len(canaries), "what": WHAT, "gaussian_noise": gaussian, "digest": digest}


def scans_of(cohort: Cohort, subjects: Sequence[str]) -> list[str]:
    """Return the ids of some subjects' scans, in the order of the cohort."""
    scans: list[str] = cohort.scans.index[cohort.scans["subject_id"].isin(list(subjects))].tolist()
    return scans


def finish_with_defence(network: AgeRegressor, config: TrainingConfig, defence_seed: int) -> None:
    """Apply the configuration's defence to a finished network."""
    device = next(network.parameters()).device
    generator = generator_of(seeds.integer(defence_seed, "finished"), device)
    defence_from(config.defence).finished(network, generator)


def guaranteed(config: TrainingConfig, size: TrainingSize) -> dict[str, Any] | None:
    """Return what the configuration's defence guarantees after a training of some size, as JSON values."""
    found = defence_from(config.defence).guarantee(size)
    return None if found is None else asdict(found)


def chosen_roles(cohort: Cohort, members: float | Roles | Path | str, validation: float, seed: int) -> Roles:
    """Draw the roles, or use those that are given; at least ten subjects per side."""
    if isinstance(members, (int, float)):
        rng = seeds.generator(seed, "roles")
        roles = Roles.draw(cohort.subjects, members=members, validation=validation, rng=rng)
    else:
        given = members if isinstance(members, Roles) else Roles.read(Path(members))
        roles = given.restrict(cohort.subjects, absent=cohort.excluded["subject_id"].tolist())
    roles.require_both_sides()
    return roles


def new_network(spec: ModelSpec, seed: int) -> AgeRegressor:
    """Return a network with the initial weights of a seed; the caller answers for the code of a factory."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.integer(seed, "weights"))
        network = build(spec, code=spec.name)
    if not isinstance(network, AgeRegressor):
        raise ModelError(
            f"{spec.name!r} cannot be trained here; give a built-in model or package.module:factory of your "
            "own, or train it with your own code and use memberscan import"
        )
    return network


def write_weights(path: Path, network: torch.nn.Module) -> None:
    """Write a run's weights."""
    write_bytes(path / WEIGHTS, save(writable(network.state_dict())))
