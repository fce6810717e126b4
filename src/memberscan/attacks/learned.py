"""An attack that learns from known subjects: blocks of features, each weighing the same, under the one learner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.base import Attack, Features, Rule
from memberscan.attacks.learner import reduce_width, ridge, standardise
from memberscan.signals.signals import Signals

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Block = Callable[[Signals], "Float[np.ndarray, 'n d']"]


@dataclass(frozen=True)
class LearnedAttack(Attack):
    """A ridge classifier on blocks of features.

    Parameters
    ----------
    blocks
        Each turns signals into columns. Blocks are standardised and weigh the same, however wide they are.
    """

    blocks: tuple[Block, ...] = ()

    def observe(self, signals: Signals) -> Features:
        """Compute, standardise and join the blocks, in no more columns than there are scans."""
        return Features(signals.scans.index, reduce_width([standardise(block(signals)) for block in self.blocks]))

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Fit the ridge classifier to the known subjects' scans."""
        return ridge(known, member)


def symmetric_log(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return sign(x) log(1 + |x| / median |x|), column by column: tame tails, kept sign, the same for any unit."""
    size = np.abs(values)
    typical = np.median(size, axis=0)
    return np.asarray(np.sign(values) * np.log1p(np.divide(size, typical, out=np.zeros_like(size), where=typical > 0)))
