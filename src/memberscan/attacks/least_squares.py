"""Each scan's share of a learner's update, estimated jointly for all candidates by least squares.

The test is ours; it is a gradient-span test for a scalar output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.on_learners import LEAST, AttackOnLearners, where_moved
from memberscan.signals import View
from memberscan.signals.learner_updates import (
    JACOBIAN_SKETCHES,
    LOSS_DERIVATIVES,
    TOOK_PART,
    UPDATE_NORMS,
    UPDATE_SKETCHES,
)

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class LeastSquares(AttackOnLearners):
    """Score the coefficient of each scan in a regression of the descent on all candidates' Jacobians.

    The descent D is written as the sum of c_j J_j over all candidate scans, c = (K + lambda)^-1 J D with the
    Gram matrix K = J J'. A member's c has the sign of the derivative l of its loss, since D is a sum of
    gradients l J. The score is sign(l) c / se, se^2 the diagonal of (K + lambda)^-1, and each round's scores
    are scaled to unit spread. It works better if the candidates cover more of the learner's data, and worse
    with more candidates than the network has effective parameters.

    Parameters
    ----------
    ridge
        lambda as a share of the mean of the Gram matrix' diagonal. The Jacobians are sketched.
    """

    ridge: float = field(default=0.03, kw_only=True)

    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`AttackOnLearners`."""
        sign = np.sign(view[LOSS_DERIVATIVES])
        scores = np.empty((*sign.shape, len(view.learners)))
        for t in range(len(view.rounds)):
            jacobian = np.asarray(view[JACOBIAN_SKETCHES][t], dtype=float)
            gram = jacobian @ jacobian.T
            gram[np.diag_indices_from(gram)] += max(self.ridge * np.trace(gram) / len(gram), LEAST)
            inverse = np.linalg.inv(gram)
            shares = inverse @ (jacobian @ np.asarray(view[UPDATE_SKETCHES][t], dtype=float).T)
            score = sign[t][:, None] * shares / np.sqrt(np.diag(inverse))[:, None]
            scores[t] = score / np.maximum(score.std(axis=0), LEAST)
        return where_moved(view, scores)


LEAST_SQUARES = LeastSquares(
    "least-squares",
    "the scan's share of the update, estimated for all candidates at once",
    (TOOK_PART, LOSS_DERIVATIVES, UPDATE_NORMS, JACOBIAN_SKETCHES, UPDATE_SKETCHES),
)
