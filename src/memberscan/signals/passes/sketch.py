"""A fixed random projection of gradients that keeps their inner products in expectation: a count sketch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from memberscan import seeds

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class Sketch:
    """A fixed random projection that keeps inner products in expectation: a count sketch.

    Every coordinate is added, with a random sign, to one of ``width`` sums; with as many sums as
    coordinates, nothing is lost. Source: Charikar, Chen and Farach-Colton, "Finding frequent items in data
    streams" (ICALP 2002).
    """

    def __init__(self, width: int, sizes: Mapping[str, int]) -> None:
        self.width = width
        total = sum(sizes.values())
        rng = seeds.generator(0, "sketch", total, width)
        whole = width >= total
        place = np.arange(total) if whole else rng.integers(width, size=total)
        sign = np.ones(total) if whole else rng.choice([-1.0, 1.0], total)
        cuts = np.cumsum(list(sizes.values()))[:-1]
        self._place = dict(zip(sizes, map(torch.from_numpy, np.split(place, cuts)), strict=True))
        self._sign = {
            path: torch.from_numpy(part.astype(np.float32))
            for path, part in zip(sizes, np.split(sign, cuts), strict=True)
        }

    def __call__(self, gradients: Mapping[str, Float[Tensor, "n p"]]) -> Float[Tensor, "n width"]:
        """Return the sketch of rows that come layer by layer."""
        first = next(iter(gradients.values()))
        result = first.new_zeros(len(first), self.width)
        for path, rows in gradients.items():
            place, sign = self._place[path].to(rows.device), self._sign[path].to(rows.device)
            result.index_add_(1, place, rows * sign)
        return result
