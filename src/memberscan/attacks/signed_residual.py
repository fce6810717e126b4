"""Compare a learner's signed residual of a scan with those of the other learners, who were not trained on it.

The attack is ours. It is LiRA from references that did not see the scan (Carlini et al., "Membership
Inference Attacks From First Principles", IEEE S&P 2022), with the other learners' models of the same round as
references, which FedMIA (Zhu et al., CVPR 2025) proposed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.on_learners import AttackOnLearners, shrunk_deviation, with_others
from memberscan.signals import View
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float


def centred_residuals(view: View) -> Float[np.ndarray, "rounds scans learners"]:
    """Return the signed residuals of each learner's own model without their mean over scans.

    A local model predicts everybody too old or too young by chance, and differently in each round. That
    offset is larger than what training on one scan changes.
    """
    residuals = view.residuals(view[LOCAL_PREDICTIONS], scans=1)
    return np.asarray(residuals - residuals.mean(axis=1, keepdims=True))


@dataclass(frozen=True)
class SignedResidual(AttackOnLearners):
    """Score -sign(mean of others) (r - mean of others) / sd of others, round by round.

    Training on a scan moves its residual r towards zero, from where it would be without: there the other
    learners' models have it. The sign says in which direction that is, which an absolute error does not.

    Parameters
    ----------
    prior
        Weight of the typical spread of all scans beside a scan's own, in learners.
    """

    prior: float = field(default=4.0, kw_only=True)

    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`AttackOnLearners`."""
        residuals = centred_residuals(view)
        scores = np.full(residuals.shape, np.nan)
        for t, victim, own, others in with_others(residuals, self.others):
            without = others.mean(axis=1)
            moved = (own - without) / shrunk_deviation(others, self.prior)
            scores[t, :, victim] = -np.sign(without) * moved
        return scores


SIGNED_RESIDUAL = SignedResidual(
    "signed-residual",
    "how far the learner's own model moves the signed error towards zero, compared with all other learners",
    (LOCAL_PREDICTIONS,),
    others=2,
)
