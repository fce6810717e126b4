"""The one training loop, for every head, optimizer and device; the same when interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError
from memberscan.models import AgeRegressor
from memberscan.models.inputs import as_inputs, batches, full_precision, resolve_device
from memberscan.progress import progress as progress_bar
from memberscan.training.checkpoint import Progress, load_checkpoint, save_checkpoint

OPTIMIZERS = ("adam", "sgd")
_MOMENTUM = 0.9
_SGD_LEARNING_RATE = 3e-3
_SECONDS_BETWEEN_CHECKPOINTS = 5.0


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained.

    On squared error, by Adam, or by gradient descent with a momentum of 0.9 (``optimizer="sgd"``), with the
    paper's weight decay and batch. Without a ``learning_rate`` the model's own for Adam is taken, and 0.003
    for descent; ``keep="best"`` takes the epoch with the lowest validation error, ``patience`` stops that
    many epochs after it.
    """

    epochs: int = 60
    learning_rate: float | None = None
    weight_decay: float = 1e-4
    batch_size: int = 8
    keep: str = "last"
    patience: int | None = None
    precision: str = "fp32"
    device: str = "auto"
    seed: int = 0
    optimizer: str = "adam"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise BadInputError(f"epochs is {self.epochs}; at least 1 is needed")
        if self.batch_size < 1:
            raise BadInputError(f"batch_size is {self.batch_size}; at least 1 is needed")
        if self.keep not in ("last", "best"):
            raise BadInputError(f"keep is {self.keep!r}; choose last or best")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise BadInputError(f"learning_rate is {self.learning_rate}; it must be above 0")
        if self.optimizer not in OPTIMIZERS:
            raise BadInputError(f"optimizer is {self.optimizer!r}; choose {' or '.join(OPTIMIZERS)}")
        if self.patience is not None and self.patience < 1:
            raise BadInputError(f"patience is {self.patience}; at least 1 epoch is needed")
        if self.precision not in ("fp32", "bf16"):
            raise BadInputError(f"precision is {self.precision!r}; choose fp32 or bf16")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def rate_for(self, model: AgeRegressor) -> float:
        """Return the learning rate that training takes."""
        own = model.learning_rate if self.optimizer == "adam" else _SGD_LEARNING_RATE
        return self.learning_rate or own

    def optimizer_for(self, model: AgeRegressor) -> torch.optim.Optimizer:
        """Return a fresh optimizer of this model's parameters."""
        rate = self.rate_for(model)
        if self.optimizer == "adam":
            return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            model.parameters(), lr=rate, momentum=_MOMENTUM, weight_decay=self.weight_decay
        )


def fit(
    model: AgeRegressor,
    cohort: Cohort,
    members: Sequence[str],
    validation: Sequence[str],
    config: TrainingConfig,
    checkpoint: Path,
) -> Progress:
    """Train a model in place on the scans of the members, resuming from ``checkpoint`` where there is one.

    Every epoch draws its order and its dropout from seeds of its own, so that a training that was interrupted
    ends in the same weights, byte for byte, as one that was not (on the CPU with the same thread count, on
    CUDA with the same card and versions).

    Parameters
    ----------
    model
        The network; on return it holds the weights to keep.
    members, validation
        Scan ids to train on, and to choose the epoch by.
    checkpoint
        File that the state between epochs is kept in; the caller removes it when its own work is done.

    Raises
    ------
    ModelError
        If the loss stops being finite.
    """
    device = resolve_device(config.device)
    model.calibrate(moments_of(model, cohort, members), len(members))
    model.to(device)
    optimizer = config.optimizer_for(model)
    state = load_checkpoint(checkpoint, model, optimizer) if checkpoint.exists() else Progress()
    saved = time.monotonic()
    with progress_bar("training", config.epochs, done=state.epoch) as advance:
        while state.epoch < config.epochs and not _exhausted(state, config):
            losses = {"train": train_epoch(model, optimizer, cohort, members, config, device, state.epoch)}
            if validation:
                losses["validation"] = _mean_loss(model, cohort, validation, config, device)
            if not all(map(math.isfinite, losses.values())):
                raise ModelError(
                    f"the loss is not finite in epoch {state.epoch + 1}; "
                    f"lower the learning rate ({optimizer.param_groups[0]['lr']})"
                )
            state.history.append({"epoch": state.epoch + 1, **losses})
            if validation and losses["validation"] < state.best_loss:
                state.best_epoch, state.best_loss = state.epoch, losses["validation"]
                state.best_weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            if time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                save_checkpoint(checkpoint, model, optimizer, state)
                saved = time.monotonic()
            advance(1)
    if config.keep == "best":
        model.load_state_dict(state.best_weights)
    return state


def moments_of(model: AgeRegressor, cohort: Cohort, scan_ids: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return what a model's scale is made of, over some scans: see :meth:`AgeRegressor.moments`."""
    ages = torch.from_numpy(cohort.scans.loc[list(scan_ids), "age"].to_numpy(np.float32, copy=True))
    return model.moments(ages, as_inputs(cohort, scan_ids) if cohort.kind == "table" else None)


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
) -> float:
    """Train once over all members; return the mean loss in years (squared), as seen while training.

    The order and the dropout depend on the seed and on ``epoch`` alone, so that an epoch can be repeated.
    """
    order = seeds.generator(config.seed, "order", epoch).permutation(len(members))
    model.train()
    total = 0.0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _seed(device, seeds.integer(config.seed, "dropout", epoch))
        for inputs, ages in batches(cohort, members, config.batch_size, order=order):
            target = (ages.to(device) - model.age_mean) / model.age_spread
            with _autocast(config, device):
                loss = model.head.loss(model.standard_outputs(inputs.to(device)).float(), target).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(ages)
    return model.head.loss_in_unit(total / len(members), float(model.age_spread))


def _seed(device: torch.device, seed: int) -> None:
    """Seed what a training on this device draws from, and no device that was not saved before."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@torch.no_grad()
@full_precision()
def _mean_loss(
    model: AgeRegressor, cohort: Cohort, scan_ids: Sequence[str], config: TrainingConfig, device: torch.device
) -> float:
    """Return the mean loss in years (of squared error, years squared), in evaluation mode."""
    model.eval()
    total = 0.0
    for inputs, ages in batches(cohort, scan_ids, config.batch_size):
        with _autocast(config, device):
            total += float(model.head.loss(model.outputs(inputs.to(device)), ages.to(device)).sum())
    return total / len(scan_ids)
