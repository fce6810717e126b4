"""Compare one learner's measurement of a scan with those of all other learners.

Source: Zhu et al., "FedMIA: An effective membership inference attack exploiting 'all for one' principle in
federated learning" (CVPR 2025). The shrinkage, and the error in place of a classifier's loss, are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from memberscan.attacks.local_error import local_error
from memberscan.attacks.on_learners import (
    OF_GRADIENTS,
    AttackOnLearners,
    cosines,
    shrunk_deviation,
    with_others,
)
from memberscan.signals import View
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class FedMIA(AttackOnLearners):
    """Score Phi((m - mean_others) / sd_others) of a measurement m, round by round.

    The other models were not trained on the learner's scans, so they give the measurement of a non-member.
    With few others the spread is shrunk towards its mean over scans, as if that had come from ``prior`` more
    learners. A round with fewer others than the attack needs is not used.

    Parameters
    ----------
    measure
        Gives the measurement; higher means more likely a member.
    prior
        Weight of the mean spread, in learners.
    """

    measure: Callable[[View], Float[np.ndarray, "rounds scans learners"]] = field(kw_only=True)
    prior: float = field(default=4.0, kw_only=True)

    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`AttackOnLearners`."""
        measured = self.measure(view)
        scores = np.full(measured.shape, np.nan)
        for t, victim, own, others in with_others(measured, self.others):
            z = (own - others.mean(axis=1)) / shrunk_deviation(others, self.prior)
            scores[t, :, victim] = stats.norm.cdf(z)
        return scores


FEDMIA_ERROR = FedMIA(
    "fedmia:error",
    "the error under the learner's own model, compared with all other learners",
    (LOCAL_PREDICTIONS,),
    others=2,
    measure=local_error,
)
FEDMIA_COSINE = FedMIA(
    "fedmia:cosine",
    "alignment of loss gradient and update, compared with all other learners",
    OF_GRADIENTS,
    others=2,
    measure=cosines,
)
