"""Attacks that need nobody's membership: one reading a scan, lower for members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.base import Attack, Features, Rule
from memberscan.signals.signals import Signals

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True)
class LowerForMembers(Attack):
    """Score minus a reading, with nobody's membership known.

    Parameters
    ----------
    reading
        Gives one number per scan; training makes it small for members.
    """

    reading: Callable[[Signals], Float[np.ndarray, " n"]] = lambda signals: np.abs(signals.residual)

    def observe(self, signals: Signals) -> Features:
        """Return the readings."""
        return Features(signals.scans.index, np.asarray(self.reading(signals), dtype=float)[:, None])

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:  # noqa: ARG002
        """Return the rule that needs no learning."""
        return Rule(np.array([-1.0]), None)
