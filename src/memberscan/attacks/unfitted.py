"""Attacks that need no known people: one measurement of each scan, lower for members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from memberscan.attacks.attack import Attack, Features, KnownScans
from memberscan.signals import View

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class LowerForMembers(Attack):
    """Score minus a measurement; no known people are needed.

    Parameters
    ----------
    measure
        Gives one number per scan; training makes it small for members.
    """

    learns: ClassVar[bool] = False

    measure: Callable[[View], Float[np.ndarray, " scans"]] = field(kw_only=True)

    def observe(self, view: View) -> Features:
        """Return the measurements."""
        return Features(view.scans.index, np.asarray(self.measure(view), dtype=float)[:, None])

    def score(self, features: Features, known: KnownScans) -> Float[np.ndarray, " scans"]:  # noqa: ARG002
        """See :class:`~memberscan.attacks.attack.Attack`."""
        return -features.values[:, 0]
