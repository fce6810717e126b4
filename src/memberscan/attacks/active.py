"""Attack of a server that changes what it broadcasts: a learner undoes the harm done to its own people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.base import Needs
from memberscan.attacks.updates import UpdateAttack, residual
from memberscan.threat import Access

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.signals.updates import Updates


@dataclass(frozen=True)
class GradientAscent(UpdateAttack):
    """Score by how many years the learner's training shrinks the error that the broadcast gives a scan.

    With the residual r = age - prediction, that is |r| under the model broadcast minus |r| under the model
    returned; NaN where the learner did not answer, or sent back what it was sent.

    Source: Nasr, Shokri and Houmansadr, "Comprehensive privacy analysis of deep learning" (S&P 2019); years
    in place of a classifier's loss are ours.
    """

    def by_round(self, updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`~memberscan.attacks.updates.UpdateAttack`."""
        before = np.abs(residual(updates, updates.before))
        shrunk = before[:, :, None] - np.abs(residual(updates, updates.local))
        answered = (updates.local != updates.before[:, :, None]).any(axis=1, keepdims=True)
        return np.where(answered, shrunk, np.nan)


GRADIENT_ASCENT = GradientAscent(
    "gradient-ascent",
    "how far a learner's training undoes a broadcast that was made worse on purpose",
    Needs(Access.UPDATES, leaked=False, active=True),
)
