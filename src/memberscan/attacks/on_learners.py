"""Base of the attacks on learners' updates: a score per round, scan and learner, averaged over rounds.

A learner's descent in a round is about a weighted sum of its scans' loss gradients, g = l J with the
derivative l of the loss in the prediction and the Jacobian J of the prediction. So a member's gradient
points along the descent, and its error under the learner's own model is small. No attack here needs known
people.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from memberscan.attacks.attack import Attack, Features, KnownScans
from memberscan.signals import View
from memberscan.signals.learner_updates import (
    JACOBIAN_NORMS,
    LOSS_DERIVATIVES,
    TOOK_PART,
    UPDATE_NORMS,
    UPDATE_PRODUCTS,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LEAST = 1e-12
"""Replaces a length of zero in a division."""
OF_GRADIENTS = (TOOK_PART, LOSS_DERIVATIVES, UPDATE_PRODUCTS, JACOBIAN_NORMS, UPDATE_NORMS)
"""Signals that compare a scan's loss gradient with a learner's descent."""


@dataclass(frozen=True)
class AttackOnLearners(Attack):
    """An attack that scores each scan for each learner: was it in that learner's data?"""

    learns: ClassVar[bool] = False
    by_learner: ClassVar[bool] = True

    @abstractmethod
    def by_round(self, view: View) -> Float[np.ndarray, "rounds scans learners"]:
        """Return scores, higher if more likely in the learner's data; NaN where a round has no information.

        It may use all scans, but no membership.
        """

    def observe(self, view: View) -> Features:
        """See :class:`~memberscan.attacks.attack.Attack`."""
        return Features(view.scans.index, np.moveaxis(self.by_round(view), 0, -1))

    def score(self, features: Features, known: KnownScans) -> Float[np.ndarray, "scans learners"]:  # noqa: ARG002
        """Return the mean score over the rounds with information; NaN for a learner without such a round.

        NaN and not zero: an AUC of one half would mean that the attack was tried and failed.
        """
        told = ~np.isnan(features.values)
        count = told.sum(axis=-1)
        # Summed round by round, in the order in which they happened.
        total = np.moveaxis(np.where(told, features.values, 0.0), -1, 0).sum(axis=0)
        return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def moved(view: View) -> Bool[np.ndarray, "rounds learners"]:
    """Return in which rounds a learner has an update: it took part, and its model changed."""
    return np.asarray(view[TOOK_PART] & view[UPDATE_NORMS].any(axis=2))


def where_moved(
    view: View, values: Float[np.ndarray, "rounds scans learners"]
) -> Float[np.ndarray, "rounds scans learners"]:
    """Return the values of rounds in which a learner has an update, NaN elsewhere."""
    return np.where(moved(view)[:, None, :], values, np.nan)


def errors(view: View, predictions: Float[np.ndarray, "rounds scans *more"]) -> np.ndarray:
    """Return absolute errors of predictions."""
    return np.asarray(np.abs(view.residuals(predictions, scans=1)))


def with_others(
    measured: Float[np.ndarray, "rounds scans learners"], least: int
) -> Iterator[tuple[int, int, Float[np.ndarray, " scans"], Float[np.ndarray, "scans others"]]]:
    """Yield each round and learner, its measurements, and those of all others that took part in the round.

    Rounds with fewer than ``least`` others are left out. NaN in a learner's column says that it took no part.
    """
    for t, present in enumerate(~np.isnan(measured).any(axis=1)):
        for victim in np.flatnonzero(present):
            others = present & (np.arange(len(present)) != victim)
            if others.sum() >= least:
                yield t, int(victim), measured[t, :, victim], measured[t][:, others]


def shrunk_deviation(others: Float[np.ndarray, "scans others"], prior: float) -> Float[np.ndarray, " scans"]:
    """Return each scan's standard deviation over learners, shrunk towards the typical one of all scans.

    A variance of two or three values is often far too small; the weighted mean with the typical variance is
    an empirical-Bayes estimate. ``prior`` is the weight of the typical variance, in learners.
    """
    count = others.shape[1]
    variance = others.var(axis=1, ddof=1)
    shrunk = ((count - 1) * variance + prior * variance.mean()) / (count - 1 + prior)
    return np.asarray(np.sqrt(np.maximum(shrunk, LEAST)))


def descent_products(view: View) -> Float[np.ndarray, "rounds scans learners"]:
    """Return the inner product of each scan's loss gradient with each learner's descent."""
    return np.asarray(view[LOSS_DERIVATIVES][:, :, None] * view[UPDATE_PRODUCTS].sum(axis=3))


def descent_lengths(view: View) -> Float[np.ndarray, "rounds learners"]:
    """Return the length of each learner's descent, over all layers."""
    return np.asarray(np.sqrt((view[UPDATE_NORMS] ** 2).sum(axis=2)))


def gradient_lengths(view: View) -> Float[np.ndarray, "rounds scans"]:
    """Return the length of each scan's loss gradient, over all layers."""
    jacobian = np.sqrt((np.asarray(view[JACOBIAN_NORMS], float) ** 2).sum(axis=2))
    return np.asarray(np.abs(view[LOSS_DERIVATIVES]) * jacobian)


def cosines(view: View) -> Float[np.ndarray, "rounds scans learners"]:
    """Return the cosine of the angle between each scan's loss gradient and each learner's descent.

    It is NaN for a learner whose model did not change. It is 0 for a scan whose own gradient is zero: the
    scan has no direction, while the other scans are still compared with the learner's.
    """
    scale = gradient_lengths(view)[:, :, None] * descent_lengths(view)[:, None, :]
    products = descent_products(view)
    return where_moved(view, np.divide(products, scale, out=np.zeros_like(products), where=scale > LEAST))
