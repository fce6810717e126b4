"""Attacks that need no known people: one number for each scan, such as a measurement lower for members."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from memberscan.attacks.attack import Attack, Features, KnownScans
from memberscan.signals import View

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class UnfittedAttack(Attack):
    """Score one number of each scan; no known people are needed."""

    learns: ClassVar[bool] = False

    @abstractmethod
    def measured(self, view: View) -> Float[np.ndarray, " scans"]:
        """Return one number per scan, greater for members."""

    def observe(self, view: View) -> Features:
        """Return the number of each scan."""
        return Features(view.scans.index, np.asarray(self.measured(view), dtype=float)[:, None])

    def score(self, features: Features, known: KnownScans) -> Float[np.ndarray, " scans"]:  # noqa: ARG002
        """See :class:`~memberscan.attacks.attack.Attack`."""
        return features.values[:, 0]


@dataclass(frozen=True)
class LowerForMembers(UnfittedAttack):
    """Score minus a measurement.

    Parameters
    ----------
    measure
        Gives one number per scan; training makes it small for members.
    """

    measure: Callable[[View], Float[np.ndarray, " scans"]] = field(kw_only=True)

    def measured(self, view: View) -> Float[np.ndarray, " scans"]:
        """Return minus the measurement."""
        return -np.asarray(self.measure(view), dtype=float)
