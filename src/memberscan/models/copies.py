"""Changed copies of scans, to ask a model about as well: moved or mirrored images, rows of other measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memberscan import seeds
from memberscan.cohort import Cohort

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

_LEFT_RIGHT, _BACK_FRONT, _DOWN_UP = 2, 3, 4
"""Axes of inputs: scans of a cohort are in the orientation RAS+."""
_MOVES = tuple((axis, by) for axis in (_BACK_FRONT, _DOWN_UP) for by in (1, -1))
_DIRECTIONS = 10
_STEP = 0.3
"""Typical step of a measure, in standard deviations: a fraction of how people differ."""


@dataclass(frozen=True, eq=False)
class Copies:
    """The changes by which copies of a cohort's scans are made; all scans are changed in the same way.

    Attacks compare a model with others on the same copies. If everybody is moved by the same step, what the
    step changes for everybody, such as all of what a linear model says of it, does not look like a difference
    between people.

    Parameters
    ----------
    steps
        What is added to each measure of a row, one row per copy; None for images, which are mirrored and
        moved.
    """

    steps: Float32[np.ndarray, "copies features"] | None

    @classmethod
    def of(cls, cohort: Cohort) -> Copies:
        """Return the changes for the scans of a cohort.

        Covariates that a network takes beside an image or a row of measures stay as they are.
        """
        if cohort.kind == "volumes":
            return cls(None)
        # Of the measures alone: a cohort may append covariates to what it reads.
        measures = Cohort.read(cohort, cohort.scans.index.tolist())
        return cls.of_rows(measures, appended=cohort.shape[0] - measures.shape[1])

    @classmethod
    def of_rows(cls, measures: Float[np.ndarray, "scans features"], *, appended: int = 0) -> Copies:
        """Return the changes for rows of measures, with so many numbers behind them that stay as they are."""
        size = _STEP * measures.std(axis=0, dtype=float)
        directions = seeds.generator(0, "copies of a row").standard_normal((_DIRECTIONS, len(size)))
        # There and back, so that a mean over copies keeps no direction.
        steps = np.concatenate([directions, -directions]) * size
        return cls(np.pad(steps, ((0, 0), (0, appended))).astype(np.float32))

    @property
    def in_words(self) -> str:
        """What they are, for requests that name what was computed."""
        if self.steps is None:
            return "mirrored, moved by a voxel along both other axes"
        return f"each measure moved by {_STEP} standard deviations in {_DIRECTIONS} directions and back"

    def __call__(self, inputs: Float[Tensor, "n ..."]) -> Iterator[Float[Tensor, "n ..."]]:
        """Yield the copies of a batch.

        Images, (n, channels, i, j, k), are mirrored left to right, and moved by a voxel forward, backward, up
        and down. To rows of measures, (n, features), the steps are added.
        """
        if self.steps is not None:
            yield from (inputs + step for step in torch.from_numpy(self.steps).to(inputs))
            return
        yield inputs.flip(_LEFT_RIGHT)
        for axis, by in _MOVES:
            yield moved(inputs, axis, by)


def moved(volumes: Float[Tensor, "n c i j k"], axis: int, by: int) -> Float[Tensor, "n c i j k"]:
    """Return volumes moved along an axis by one voxel, up or down; the outermost layer is repeated."""
    size = volumes.shape[axis]
    places = (torch.arange(size, device=volumes.device) - by).clamp(0, size - 1)
    return volumes.index_select(axis, places)
