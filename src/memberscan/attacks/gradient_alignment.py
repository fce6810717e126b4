"""Alignment of a scan's loss gradient with a learner's update, of which members' gradients are a part.

Source: Li, Li and Ribeiro, "Effective passive membership inference attacks in federated learning against
overparameterized models" (ICLR 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.on_learners import (
    LEAST,
    OF_GRADIENTS,
    AttackOnLearners,
    cosines,
    descent_lengths,
    descent_products,
    gradient_lengths,
    where_moved,
)
from memberscan.signals import View

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class GradientCosine(AttackOnLearners):
    """Score the cosine of the loss gradient and the learner's descent."""

    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`AttackOnLearners`."""
        return cosines(view)


@dataclass(frozen=True)
class GradientDifference(AttackOnLearners):
    """Score how much shorter the descent becomes without the scan's step: |D|^2 - |D - a g|^2.

    That is 2 a <g, D> - a^2 |g|^2. A server does not know the step a of one scan, whatever the optimizer;
    it is set so that a typical scan's step is 1/sqrt(n) of the descent, as of n scans with independent
    directions. Each round's scores are divided by |D|^2, so that every round counts. The choice of a is ours.
    """

    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`AttackOnLearners`."""
        descent = np.maximum(descent_lengths(view), LEAST)[:, None, :]
        lengths = gradient_lengths(view)[:, :, None]
        typical = np.maximum(np.median(lengths, axis=1, keepdims=True), LEAST)
        step = descent / (typical * np.sqrt(max(len(view.scans) / len(view.learners), 1)))
        shorter = 2 * step * descent_products(view) - step**2 * lengths**2
        return where_moved(view, shorter / descent**2)


GRADIENT_COSINE = GradientCosine(
    "gradient-cosine", "how well the loss gradient aligns with the update", OF_GRADIENTS
)
GRADIENT_DIFFERENCE = GradientDifference(
    "gradient-difference", "how much of the update the scan's own step explains", OF_GRADIENTS
)
