"""Copies of volumes that are mirrored, or moved by a voxel, to ask a model about as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

_LEFT_RIGHT, _BACK_FRONT, _DOWN_UP = 2, 3, 4
"""Axes of inputs: scans of a cohort are in the orientation RAS+."""
_MOVES = tuple((axis, by) for axis in (_BACK_FRONT, _DOWN_UP) for by in (1, -1))
COPIES = "mirrored, moved by a voxel along both other axes"
"""In words, for requests that name what was computed."""


def copies(volumes: Float[Tensor, "n 1 i j k"]) -> Iterator[Float[Tensor, "n 1 i j k"]]:
    """Yield the volumes mirrored left to right, and moved by a voxel forward, backward, up and down."""
    yield volumes.flip(_LEFT_RIGHT)
    for axis, by in _MOVES:
        yield moved(volumes, axis, by)


def moved(volumes: Float[Tensor, "n 1 i j k"], axis: int, by: int) -> Float[Tensor, "n 1 i j k"]:
    """Return volumes moved along an axis by one voxel, up or down; the outermost layer is repeated."""
    size = volumes.shape[axis]
    places = (torch.arange(size, device=volumes.device) - by).clamp(0, size - 1)
    return volumes.index_select(axis, places)
