"""Models that are kept while a training goes on, to audit what they give away beside the finished one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save
from torch import nn

from memberscan.defences import defence_from
from memberscan.errors import BadInputError
from memberscan.files import OWNER_ONLY, disk_guard, write_bytes
from memberscan.models.weights import writable
from memberscan.training.config import TrainingConfig

FOLDER = "checkpoints"


def require_checkpoints(count: int, config: TrainingConfig) -> None:
    """Refuse a number of checkpoints that a training cannot keep.

    Raises
    ------
    BadInputError
        If there are not more epochs than checkpoints, or the defence protects only the finished model: a
        model before it would be released without its defence.
    """
    if not 0 <= count < config.epochs:
        raise BadInputError(
            f"--checkpoints is {count}; give a number below that of the epochs ({config.epochs})"
        )
    defence = defence_from(config.defence)
    if count and (defence.teaching() is not None or defence.finishes()):
        raise BadInputError(
            f"the defence {config.defence!r} changes the finished model, and checkpoints are models before "
            "that; leave out --checkpoints"
        )


def epochs_of(count: int, epochs: int) -> tuple[int, ...]:
    """Return after which epochs a model is kept: evenly spaced, without the last one."""
    return tuple(epochs * place // (count + 1) for place in range(1, count + 1))


def keeper(path: Path, network: nn.Module, count: int, epochs: int) -> Callable[[int], None]:
    """Return a function that is called after each epoch, and writes the model if it is to be kept.

    Epochs that are repeated after an interruption write the same bytes again.
    """
    chosen = epochs_of(count, epochs)

    def after_epoch(epoch: int) -> None:
        if epoch in chosen:
            with disk_guard(path):
                path.mkdir(mode=0o700, exist_ok=True)
            state = save(writable(network.state_dict()))
            write_bytes(path / f"epoch-{epoch:04d}.safetensors", state, mode=OWNER_ONLY)

    return after_epoch
