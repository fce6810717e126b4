"""Canary updates of a federation: random directions that are added to its sums of updates, or not, by lot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch

from memberscan import seeds
from memberscan.defences.defence import generator_of

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float
    from torch import Tensor


def coins(seed: int, count: int) -> Bool[np.ndarray, " canaries"]:
    """Return which canaries are in, each by a fair coin of its own.

    Parameters
    ----------
    seed
        Secret seed of the server.
    count
        Number of canaries, in and out together.
    """
    return seeds.generator(seed, "canary updates", "coins").random(count) < 0.5


def directions(seed: int, count: int, like: Mapping[str, Tensor]) -> Iterator[Float[Tensor, " p"]]:
    """Yield a random unit vector for each canary, one at a time, the same in every round.

    In many dimensions such vectors are nearly at right angles to each other, and to whatever a federation
    learns. Source: Andrew, Kairouz, Oh, Oprea, McMahan and Suriyakumar, "One-shot Empirical Privacy
    Estimation for Federated Learning" (ICLR 2024).

    Parameters
    ----------
    seed, count
        As of :func:`coins`.
    like
        Parameters by name; a vector has as many entries as all of them, in the order of :func:`flat`.
    """
    size = sum(tensor.numel() for tensor in like.values())
    for number in range(count):
        generator = generator_of(seeds.integer(seed, "canary updates", "direction", number))
        vector = torch.randn(size, generator=generator)
        yield vector / vector.norm()


def flat(tensors: Mapping[str, Tensor]) -> Float[Tensor, " p"]:
    """Return all entries in one vector, with the tensors in the order of their names."""
    return torch.cat([tensors[name].detach().flatten() for name in sorted(tensors)])


def shaped(vector: Float[Tensor, " p"], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a vector of :func:`flat` as tensors with these names and shapes."""
    names = sorted(like)
    parts = torch.split(vector, [like[name].numel() for name in names])
    return {name: part.reshape(like[name].shape) for name, part in zip(names, parts, strict=True)}
