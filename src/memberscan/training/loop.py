"""The one training loop, for every head, optimizer and device; interruptions do not change its result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.defences import defence_from
from memberscan.defences.defence import Defence, Step, TrainingSize, generator_of
from memberscan.errors import BadInputError, ModelError
from memberscan.models import AgeRegressor
from memberscan.models.inputs import (
    as_inputs,
    batches,
    chosen_inputs,
    full_precision,
    parts_of,
    resolve_device,
)
from memberscan.progress import progress as progress_bar
from memberscan.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from memberscan.training.config import TrainingConfig
from memberscan.training.optimizers import learning_rate, new_optimizer

if TYPE_CHECKING:
    from jaxtyping import Float

_SECONDS_BETWEEN_CHECKPOINTS = 5.0


def ignored(epoch: int) -> None:
    """Do nothing after an epoch."""


def fit(
    model: AgeRegressor,
    cohort: Cohort,
    members: Sequence[str],
    validation: Sequence[str],
    config: TrainingConfig,
    checkpoint: Path,
    *,
    defence_seed: int = 0,
    title: str = "training",
    after_epoch: Callable[[int], None] = ignored,
) -> Progress:
    """Train a model in place on the scans of the members, resuming from ``checkpoint`` if it exists.

    Every epoch has its own seeds for the order of scans and for dropout. A training that was interrupted
    therefore ends in the same weights, byte for byte, as one that was not (on the CPU with the same thread
    count, on CUDA with the same card and versions).

    Parameters
    ----------
    model
        The network; on return it holds the weights to keep.
    members, validation
        Scan ids to train on, and scan ids that decide which epoch is kept.
    checkpoint
        File for the state between epochs; the caller removes it when its own work is done.
    defence_seed
        Seed of the defence's random numbers.
    title
        What the progress is called.
    after_epoch
        Is called with the number of each finished epoch, and again for those that an interruption repeats.

    Raises
    ------
    BadInputError
        If the defence releases the student of other networks.
    ModelError
        If the loss stops being finite.
    """
    device = resolve_device(config.device)
    defence = defence_from(config.defence)
    if (teaching := defence.teaching()) is not None:
        raise BadInputError(
            f"the defence {teaching.name!r} trains several networks, and fit trains one; use memberscan.train"
        )
    model.calibrate(moments_of(model, cohort, members, defence, defence_seed), len(members))
    model.to(device)
    optimizer = new_optimizer(config, model)
    seeds_of_defence = {"defence_seed": defence_seed, "label_seed": defence_seed}
    state = load_checkpoint(checkpoint, model, optimizer) if checkpoint.exists() else Progress()
    saved = time.monotonic()
    with progress_bar(title, config.epochs, done=state.epoch) as advance:
        while state.epoch < config.epochs and not _exhausted(state, config):
            losses = {
                "train": train_epoch(
                    model, optimizer, cohort, members, config, device, state.epoch, **seeds_of_defence
                )
            }
            if validation:
                losses["validation"] = _mean_loss(model, cohort, validation, config, device)
            if not all(map(math.isfinite, losses.values())):
                raise ModelError(
                    f"the loss is not finite in epoch {state.epoch + 1}; "
                    f"lower the learning rate ({learning_rate(config, model)})"
                )
            state.history.append({"epoch": state.epoch + 1, **losses})
            if validation and losses["validation"] < state.best_loss:
                state.best_epoch, state.best_loss = state.epoch, losses["validation"]
                state.best_weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            after_epoch(state.epoch)
            if time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                save_checkpoint(checkpoint, model, optimizer, state)
                saved = time.monotonic()
            advance(1)
    if config.keep == "best":
        model.load_state_dict(state.best_weights)
    return state


def labels_of(
    cohort: Cohort, scan_ids: Sequence[str], defence: Defence, seed: int | None
) -> Float[torch.Tensor, " n"]:
    """Return the labels of some scans, or what a defence puts in their place.

    Parameters
    ----------
    cohort, scan_ids
        The scans that are trained on, all of them and always in the same order.
    defence
        The defence.
    seed
        Its seed for labels: the same in a whole training. None if there is no such seed.
    """
    labels = cohort.labels[list(scan_ids)].to_numpy(np.float64, copy=True)
    rng = None if seed is None else seeds.generator(seed, "labels")
    return torch.from_numpy(defence.labels(labels, cohort.target, rng).astype(np.float32))


def moments_of(
    model: AgeRegressor,
    cohort: Cohort,
    scan_ids: Sequence[str],
    defence: Defence,
    label_seed: int | None = None,
) -> Mapping[str, torch.Tensor]:
    """Return what sets a model's scale: moments of some scans, or what a defence puts in their place.

    See :meth:`AgeRegressor.moments`, and :func:`labels_of` for the seed.
    """
    labels = labels_of(cohort, scan_ids, defence, label_seed)
    own = model.moments(labels, as_inputs(cohort, scan_ids) if cohort.kind == "table" else None)
    return defence.moments(own, cohort)


def size_of(
    cohort: Cohort, members: Sequence[str], config: TrainingConfig, rounds: int = 1, held_out: int = 0
) -> TrainingSize:
    """Return how long a training on some scans is; of a federation with so many rounds, for one learner."""
    people = int(cohort.scans.loc[list(members), "subject_id"].nunique())
    return _size(people, len(members), config, rounds, held_out)


def _size(people: int, scans: int, config: TrainingConfig, rounds: int, held_out: int = 0) -> TrainingSize:
    return TrainingSize(people, scans, config.batch_size, config.epochs * rounds, rounds, held_out)


def _exhausted(state: Progress, config: TrainingConfig) -> bool:
    return (
        config.patience is not None
        and state.best_epoch > 0
        and state.epoch - state.best_epoch >= config.patience
    )


def _autocast(config: TrainingConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")


@full_precision()
def train_epoch(
    model: AgeRegressor,
    optimizer: torch.optim.Optimizer,
    cohort: Cohort,
    members: Sequence[str],
    config: TrainingConfig,
    device: torch.device,
    epoch: int,
    *,
    defence_seed: int = 0,
    label_seed: int | None = None,
    rounds: int = 1,
) -> float:
    """Train once over all members; return the mean training loss in the target's unit, or its square.

    The order of scans and dropout depend only on the seed and on ``epoch``; a defence's random numbers depend
    only on its own seed and on ``epoch``; the labels that it gives, only on ``label_seed``. An epoch can
    therefore be repeated exactly. ``rounds`` is the number of rounds of a federation, each of which has the
    configuration's epochs.
    """
    defence = defence_from(config.defence)
    generator = generator_of(seeds.integer(defence_seed, "defence", epoch), device)
    people, names = pd.factorize(cohort.scans.loc[list(members), "subject_id"])
    size = _size(len(names), len(members), config, rounds)
    own_labels = labels_of(cohort, members, defence, label_seed)
    parts = defence.batches(people, size, seeds.generator(defence_seed, "batches", epoch))
    if parts is None:
        order = seeds.generator(config.seed, "order", epoch).permutation(len(members))
        parts = parts_of(len(members), config.batch_size, order)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, model) * defence.step_size(epoch)
    model.train()
    total = trained_on = 0.0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _seed(device, seeds.integer(config.seed, "dropout", epoch))
        for part, inputs in zip(parts, chosen_inputs(cohort, members, parts), strict=True):
            targets = (own_labels[part].to(device) - model.age_mean) / model.age_spread
            optimizer.zero_grad(set_to_none=True)
            autocast = _autocast(config, device)
            whose = torch.from_numpy(people[part]).to(device)
            step = Step(model, inputs.to(device), targets, whose, size, epoch, autocast, generator)
            loss = defence.gradients(defence.prepared(step))
            defence.restrict(step)
            optimizer.step()
            total += loss.item() * len(part)
            trained_on += len(part)
    return model.head.loss_in_unit(total / max(trained_on, 1), float(model.age_spread))


def _seed(device: torch.device, seed: int) -> None:
    """Seed the generators that training on this device uses, and only those whose state was saved before."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@torch.no_grad()
@full_precision()
def _mean_loss(
    model: AgeRegressor, cohort: Cohort, scan_ids: Sequence[str], config: TrainingConfig, device: torch.device
) -> float:
    """Return the mean loss in evaluation mode, in the target's unit (squared error: its square)."""
    model.eval()
    total = 0.0
    for inputs, labels in batches(cohort, scan_ids, config.batch_size):
        with _autocast(config, device):
            total += float(model.head.loss(model.outputs(inputs.to(device)), labels.to(device)).sum())
    return total / len(scan_ids)
