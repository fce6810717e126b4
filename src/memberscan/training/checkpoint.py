"""The state of a training between two epochs, in one safetensors file, written completely or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from memberscan.errors import MemberscanError, ModelError
from memberscan.files import OWNER_ONLY, write_bytes
from memberscan.models.weights import WEIGHTS_LIMIT, writable
from memberscan.received import load_safetensors, stated

_SLOTS = {torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"}, torch.optim.SGD: {"momentum_buffer"}}
"""The state that each optimizer keeps per parameter. Missing state would only be noticed in the next step."""
_DAMAGE = (KeyError, IndexError, ValueError, TypeError, RuntimeError)


def teachers_folder(checkpoint: Path) -> Path:
    """Return the folder for the states and the answers of the teachers of a training, beside its state."""
    return checkpoint.with_name(f"{checkpoint.stem}-teachers")


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove the state of a training, and all of its teachers.

    Raises
    ------
    OSError
        If something cannot be removed. A teacher that stayed would be a model without any defence.
    """
    checkpoint.unlink(missing_ok=True)
    if (folder := teachers_folder(checkpoint)).exists():
        shutil.rmtree(folder)


@dataclass
class Progress:
    """The progress of a training: the history of its finished epochs and the best weights so far."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = float("inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{index}.{name}": tensor for index, slots in state.items() for name, tensor in slots.items()}


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write all that the next epoch depends on; random numbers are seeded per epoch and need no state."""
    tensors = {
        **{f"model.{k}": v for k, v in model.state_dict().items()},
        **{f"optimizer.{k}": v for k, v in _optimizer_tensors(optimizer).items()},
        **{f"best.{k}": v for k, v in progress.best_weights.items()},
    }
    metadata = {"progress": json.dumps([progress.history, progress.best_epoch, progress.best_loss])}
    write_bytes(path, save(writable(tensors), metadata), mode=OWNER_ONLY)


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore a model and its optimizer in place, and return the progress of the training.

    Raises
    ------
    ModelError
        If the file is damaged, or belongs to another model.
    """
    try:
        return _restored(path, model, optimizer)
    except (MemberscanError, SafetensorError, *_DAMAGE) as error:
        raise ModelError(
            f"{path}, the state of an interrupted training, is damaged or belongs to another model "
            f"({error}); delete it, and run the same command again to train from the start"
        ) from error


def _restored(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "best": {}}
    for key, tensor in load_safetensors(path, WEIGHTS_LIMIT).items():
        group, _, name = key.partition(".")
        groups[group][name] = tensor
    with safe_open(path, framework="pt") as stored:
        said = json.loads((stored.metadata() or {})["progress"])
    progress = Progress(
        *stated(tuple[list[dict[str, int | float]], int, float], said, str(path)), groups["best"]
    )
    if progress.best_weights:
        model.load_state_dict(progress.best_weights)
    model.load_state_dict(groups["model"])
    slots: dict[int, dict[str, Any]] = {}
    sizes = [p.shape for group in optimizer.param_groups for p in group["params"]]
    for name, tensor in groups["optimizer"].items():
        index, _, slot = name.partition(".")
        if tensor.shape != (torch.Size() if slot == "step" else sizes[int(index)]):
            raise ModelError(f"{name} has shape {tuple(tensor.shape)}")
        slots.setdefault(int(index), {})[slot] = tensor
    if odd := [index for index, kept in slots.items() if kept.keys() != _SLOTS[type(optimizer)]]:
        raise ModelError(f"the optimizer's state of parameter {odd[0]} is incomplete")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return progress
