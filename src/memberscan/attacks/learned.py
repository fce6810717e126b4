"""An attack that learns from known subjects: a ridge classifier on blocks of features of equal weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.attack import Features, FittedAttack, KnownScans, Rule
from memberscan.attacks.learner import Ridges, coordinates, joined, ridge, ridges, standardise
from memberscan.evidence.scores import MANY_DIRECTIONS
from memberscan.signals import View

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

TILE = 1024
"""Columns of a wide signal that are in memory at a time."""
_MOST_NUMBERS = 1_000_000
"""Of known scans, or of their inner products, in classifiers that are fitted at once."""


def unchanged(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return what was given."""
    return values


@dataclass(frozen=True)
class Block:
    """Columns of one kind; every block has the same total weight, whatever its width.

    Parameters
    ----------
    read
        Gives the columns; they may be memory-mapped.
    transform
        Applied to each column separately, some columns at a time.
    """

    read: Callable[[View], Float[np.ndarray, "n d"]]
    transform: Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n d"]] = unchanged

    def tiles(self, view: View) -> Iterator[Float[np.ndarray, "n tile"]]:
        """Yield transformed, standardised columns."""
        values = self.read(view)
        for start in range(0, values.shape[1], TILE):
            yield standardise(self.transform(np.asarray(values[:, start : start + TILE], dtype=float)))


@dataclass(frozen=True)
class LearnedAttack(FittedAttack):
    """A ridge classifier on blocks of features that have the same weight, whatever their width."""

    blocks: tuple[Block, ...] = field(kw_only=True)

    def observe(self, view: View) -> Features:
        """Compute, standardise and join the blocks, in no more columns than there are scans."""
        width = sum(block.read(view).shape[1] for block in self.blocks)
        join = joined if width <= len(view.scans) else coordinates
        return Features(view.scans.index, join(block.tiles(view) for block in self.blocks))

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Fit the ridge classifier to the known subjects' scans."""
        return ridge(known, member)

    def score_each(
        self, features: Features, known: Sequence[KnownScans]
    ) -> Iterator[Float[np.ndarray, " scans"]]:
        """See :class:`~memberscan.attacks.attack.Attack`."""
        for fits in self._fits(features, known):
            yield from fits.weights @ features.values.T + fits.offsets[:, None]

    def directions(self, features: Features, known: Sequence[KnownScans]) -> float:
        """See :class:`~memberscan.attacks.attack.Attack`; the mean over fits."""
        if features.values.shape[1] > MANY_DIRECTIONS:
            # Fits are not made again to count directions that may be many.
            return np.inf
        return float(np.mean(np.concatenate([fits.directions for fits in self._fits(features, known)])))

    def _fits(self, features: Features, known: Sequence[KnownScans]) -> Iterator[Ridges]:
        """Fit as many classifiers at once as memory holds, and yield them."""
        most, width = max(len(each.places) for each in known), features.values.shape[1]
        together = max(1, _MOST_NUMBERS // (most * max(most, width)))
        for start in range(0, len(known), together):
            part = known[start : start + together]
            given = np.arange(most) < np.array([len(each.places) for each in part])[:, None]
            # Short rows are filled up with the first scan, which then does not count.
            places, member = np.zeros(given.shape, dtype=np.int64), np.zeros(given.shape, dtype=bool)
            places[given] = np.concatenate([each.places for each in part])
            member[given] = np.concatenate([each.member for each in part])
            yield ridges(features.values[places], member, given)


def symmetric_log(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return sign(x) log(1 + |x| / median |x|), by column: shorter tails, the same sign, in any unit."""
    size = np.abs(values)
    typical = np.median(size, axis=0)
    scaled = np.divide(size, typical, out=np.zeros_like(size), where=typical > 0)
    return np.asarray(np.sign(values) * np.log1p(scaled))
