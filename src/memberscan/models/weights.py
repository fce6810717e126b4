"""Weights in and out of files, never by executing what a file says."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from memberscan.errors import ModelError, UnsafeWeightsError

WEIGHTS_LIMIT = 8 << 30
"""Largest file of weights that is read, in bytes."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors, or from a torch file that holds tensors only.

    Raises
    ------
    UnsafeWeightsError
        If the file is a pickle that would run code.
    ModelError
        If the file is missing or damaged, or holds something else than a state dict.
    """
    if not path.is_file():
        raise ModelError(f"the weights file {path} does not exist")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ModelError(f"{path} is not a readable safetensors file ({error})") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeWeightsError(
            f"{path} is a pickle that would execute code when loaded, or is damaged; save the weights alone "
            "with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
        ) from error
    except Exception as error:
        raise ModelError(f"{path} is not a readable weights file ({error})") from error
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} does not hold a state dict of tensors; save model.state_dict()")
    return state


def load_weights(model: nn.Module, state: dict[str, Tensor], *, source: str) -> None:
    """Load a state dict into a model, naming what does not fit; ``source`` names it in errors."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"the weights of {source} do not fit the model: {error}") from error
