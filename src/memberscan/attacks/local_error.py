"""The error of a learner's own model, round by round: it predicts scans of the learner's people better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memberscan.attacks.on_learners import AttackOnLearners, errors
from memberscan.signals import View
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def local_error(view: View) -> Float[np.ndarray, "rounds scans learners"]:
    """Return minus the absolute error of each learner's own model."""
    return -errors(view, view[LOCAL_PREDICTIONS])


@dataclass(frozen=True)
class LocalError(AttackOnLearners):
    """Score minus the error of the learner's own model."""

    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`AttackOnLearners`."""
        return local_error(view)


LOCAL_ERROR = LocalError(
    "local-error", "the error under the learner's own model, over all rounds", (LOCAL_PREDICTIONS,)
)
