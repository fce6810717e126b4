"""Attack of a server that changes its broadcast: a learner's training corrects the errors on its own people.

Source: Nasr, Shokri and Houmansadr, "Comprehensive privacy analysis of deep learning" (S&P 2019); errors
instead of a classifier's loss are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.on_learners import AttackOnLearners, errors
from memberscan.signals import View
from memberscan.signals.broadcast_answers import ANSWER_PREDICTIONS, BROADCAST_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class GradientAscent(AttackOnLearners):
    """Score by how much the learner's training reduces the error of the broadcast model on a scan.

    With the residual r, that is |r| under the model broadcast minus |r| under the model
    returned; NaN where the learner did not answer, or sent back what it was sent.
    """

    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`AttackOnLearners`."""
        broadcast, answers = view[BROADCAST_PREDICTIONS], view[ANSWER_PREDICTIONS]
        shrunk = errors(view, broadcast)[:, :, None] - errors(view, answers)
        answered = (answers != broadcast[:, :, None]).any(axis=1, keepdims=True)
        return np.where(answered, shrunk, np.nan)


GRADIENT_ASCENT = GradientAscent(
    "gradient-ascent",
    "how much a learner's training corrects a broadcast that was made worse on purpose",
    (BROADCAST_PREDICTIONS, ANSWER_PREDICTIONS),
)
