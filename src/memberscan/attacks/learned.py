"""An attack that learns from known subjects: blocks of features, equally weighed, under the one learner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.base import Attack, Features, Rule
from memberscan.attacks.learner import coordinates, joined, ridge, standardise
from memberscan.signals.signals import Signals

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

TILE = 1024
"""Columns of a wide signal that stand in memory at a time."""


def unchanged(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return what was given."""
    return values


@dataclass(frozen=True)
class Block:
    """Columns of one kind, which weigh as much together as those of any other block.

    Parameters
    ----------
    read
        Gives the columns; they may be memory-mapped.
    transform
        Applied to each column by itself, some columns at a time.
    """

    read: Callable[[Signals], Float[np.ndarray, "n d"]]
    transform: Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n d"]] = unchanged

    def tiles(self, signals: Signals) -> Iterator[Float[np.ndarray, "n tile"]]:
        """Yield transformed, standardised columns."""
        values = self.read(signals)
        for start in range(0, values.shape[1], TILE):
            yield standardise(self.transform(np.asarray(values[:, start : start + TILE], dtype=float)))


@dataclass(frozen=True)
class LearnedAttack(Attack):
    """A ridge classifier on blocks of features, which weigh the same, however wide they are."""

    blocks: tuple[Block, ...] = ()

    def observe(self, signals: Signals) -> Features:
        """Compute, standardise and join the blocks, in no more columns than there are scans."""
        width = sum(block.read(signals).shape[1] for block in self.blocks)
        join = joined if width <= len(signals.scans) else coordinates
        return Features(signals.scans.index, join(block.tiles(signals) for block in self.blocks))

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Fit the ridge classifier to the known subjects' scans."""
        return ridge(known, member)


def symmetric_log(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return sign(x) log(1 + |x| / median |x|), by column: tame tails, kept sign, the same in any unit."""
    size = np.abs(values)
    typical = np.median(size, axis=0)
    scaled = np.divide(size, typical, out=np.zeros_like(size), where=typical > 0)
    return np.asarray(np.sign(values) * np.log1p(scaled))
