"""Attacks on updates: each gives every scan a score for having been in one learner's data.

A learner's descent in a round is about a weighted sum of its scans' loss gradients, g = -2 r J with the
residual r = age - prediction and the Jacobian J; so a member's gradient points along it, and its residual
under the learner's own model is small. No attack here needs to know anybody's membership.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from memberscan.attacks.base import Needs
from memberscan.threat import Access

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.signals.updates import Updates

_LEAST = 1e-12


@dataclass(frozen=True)
class UpdateAttack(ABC):
    """One way to tell whose data a scan was in; a frozen value.

    Parameters
    ----------
    name, title, needs
        As of :class:`~memberscan.attacks.base.Attack`.
    """

    name: str
    title: str
    needs: Needs = field(default=Needs(Access.UPDATES, leaked=False))

    @abstractmethod
    def by_round(self, updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
        """Return scores, higher for likelier in the learner's data; NaN where a round tells nothing of it.

        It may use all scans, and knows nobody's membership.
        """

    def score(self, updates: Updates) -> Float[np.ndarray, "scans learners"]:
        """Return the mean score over rounds; NaN for a learner of whom no round tells anything."""
        return mean_over_rounds(self.by_round(updates))


def mean_over_rounds(values: Float[np.ndarray, "rounds scans learners"]) -> np.ndarray:
    """Return the mean over the rounds that tell something; NaN where none does.

    NaN, and not a score of zero: an AUC of one half would say that a learner was attacked in vain.
    """
    told = ~np.isnan(values)
    count = told.sum(axis=0)
    total = np.where(told, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def moved(updates: Updates) -> Bool[np.ndarray, "rounds learners"]:
    """Return in which rounds a learner's update has a direction: it took part, and its model changed."""
    return np.asarray(updates.took_part & updates.descent_norms.any(axis=2))


def _where_moved(updates: Updates, values: Float[np.ndarray, "rounds scans learners"]) -> np.ndarray:
    return np.where(moved(updates)[:, None, :], values, np.nan)


def residual(updates: Updates, predictions: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """Return age minus predictions, years; the scans are the second axis."""
    age = updates.scans["age"].to_numpy(float)
    return np.asarray(age.reshape(1, -1, *([1] * (predictions.ndim - 2))) - predictions)


def descent_products(updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
    """Return the inner product of each scan's loss gradient with each learner's descent."""
    r = residual(updates, updates.before)
    return np.asarray(-2 * r[:, :, None] * updates.products.sum(axis=3))


def gradient_norms(updates: Updates) -> Float[np.ndarray, "rounds scans"]:
    """Return the norm of each scan's loss gradient."""
    jacobian = np.sqrt((np.asarray(updates.norms, float) ** 2).sum(axis=2))
    return np.asarray(2 * np.abs(residual(updates, updates.before)) * jacobian)


def cosines(updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
    """Return the cosine of each scan's loss gradient and each learner's descent.

    It is NaN for a learner whose model did not change. It is 0 for a scan whose own gradient is zero: the
    scan has no direction, while the other scans are still compared with the learner's.
    """
    descent = np.sqrt((updates.descent_norms**2).sum(axis=2))
    scale = gradient_norms(updates)[:, :, None] * descent[:, None, :]
    products = descent_products(updates)
    return _where_moved(
        updates, np.divide(products, scale, out=np.zeros_like(products), where=scale > _LEAST)
    )


@dataclass(frozen=True)
class LossSeries(UpdateAttack):
    """Score minus the error of the learner's own model."""

    def by_round(self, updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`UpdateAttack`."""
        return local_error(updates)


@dataclass(frozen=True)
class GradientCosine(UpdateAttack):
    """Score the cosine of the loss gradient and the learner's descent.

    Source: Li, Li and Ribeiro, "Effective passive membership inference attacks in federated learning against
    overparameterized models" (ICLR 2023).
    """

    def by_round(self, updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`UpdateAttack`."""
        return cosines(updates)


@dataclass(frozen=True)
class GradientDifference(UpdateAttack):
    """Score how much shorter the descent becomes without the scan's step: |D|^2 - |D - a g|^2.

    That is 2 a <g, D> - a^2 |g|^2. The step a of one scan is not known to a server, whatever the optimizer;
    it is set so that a typical scan's step is 1/sqrt(n) of the descent, as of n scans with independent
    directions. Each round's scores are divided by |D|^2, so that every round counts.

    Source: Li, Li and Ribeiro (ICLR 2023); the choice of a is ours.
    """

    def by_round(self, updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`UpdateAttack`."""
        descent = np.maximum(np.sqrt((updates.descent_norms**2).sum(axis=2)), _LEAST)[:, None, :]
        norms = gradient_norms(updates)[:, :, None]
        typical = np.maximum(np.median(norms, axis=1, keepdims=True), _LEAST)
        step = descent / (typical * np.sqrt(max(len(updates.scans) / len(updates.learners), 1)))
        shorter = 2 * step * descent_products(updates) - step**2 * norms**2
        return _where_moved(updates, shorter / descent**2)


@dataclass(frozen=True)
class AllForOne(UpdateAttack):
    """Score how far a learner's measurement stands out among the other learners', for the same scan.

    The others' models never saw the learner's scans, so they show what the measurement is for a non-member:
    the score of a round is Phi((m - mean_others) / sd_others). With few others the spread is shrunk towards
    its mean over scans, as if that had come from ``prior`` more of them. A round with fewer others than the
    attack needs tells nothing.

    Source: Zhu et al., "FedMIA: An effective membership inference attack exploiting 'all for one' principle
    in federated learning" (CVPR 2025). The shrinkage, and the error in place of a classifier's loss, are
    ours.
    """

    measure: Callable[[Updates], Float[np.ndarray, "rounds scans learners"]] = cosines
    prior: float = 4.0

    def by_round(self, updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`UpdateAttack`."""
        measured = self.measure(updates)
        scores = np.full(measured.shape, np.nan)
        for t, present in enumerate(~np.isnan(measured).any(axis=1)):
            for victim in np.flatnonzero(present):
                others = measured[t][:, present & (np.arange(len(present)) != victim)]
                count = others.shape[1]
                if count < self.needs.others:
                    continue
                variance = others.var(axis=1, ddof=1)
                shrunk = ((count - 1) * variance + self.prior * variance.mean()) / (count - 1 + self.prior)
                z = (measured[t, :, victim] - others.mean(axis=1)) / np.sqrt(np.maximum(shrunk, _LEAST))
                scores[t, :, victim] = stats.norm.cdf(z)
        return scores


@dataclass(frozen=True)
class LeastSquares(UpdateAttack):
    """Score each scan's share in the descent, jointly for all candidates: a least-squares test.

    The descent D is written as the sum of c_j J_j over all candidate scans, c = (K + lambda)^-1 J D with the
    Gram matrix K = J J'; a member's c has the sign of -r. The score is -sign(r) c / se, se^2 the diagonal of
    (K + lambda)^-1, and each round's scores are scaled to unit spread. It helps as far as the candidates
    cover the learner's data, and less with more candidates than the network has effective parameters.

    The Jacobians are sketched, and lambda is ``ridge`` times the mean of the Gram matrix' diagonal. The test
    is ours; it is a gradient-span test for a scalar output.
    """

    ridge: float = 0.03

    def by_round(self, updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
        """See :class:`UpdateAttack`."""
        sign = -np.sign(residual(updates, updates.before))
        scores = np.empty((*sign.shape, len(updates.learners)))
        for t in range(len(updates.rounds)):
            jacobian = np.asarray(updates.sketch(t), dtype=float)
            gram = jacobian @ jacobian.T
            gram[np.diag_indices_from(gram)] += max(self.ridge * np.trace(gram) / len(gram), _LEAST)
            inverse = np.linalg.inv(gram)
            shares = inverse @ (jacobian @ np.asarray(updates.descent_sketches[t], dtype=float).T)
            score = sign[t][:, None] * shares / np.sqrt(np.diag(inverse))[:, None]
            scores[t] = score / np.maximum(score.std(axis=0), _LEAST)
        return _where_moved(updates, scores)


def local_error(updates: Updates) -> Float[np.ndarray, "rounds scans learners"]:
    """Return minus the absolute error of each learner's own model, years."""
    return np.asarray(-np.abs(residual(updates, updates.local)))


_GRADIENTS = Needs(Access.UPDATES, leaked=False, norms=True)
_OTHERS = Needs(Access.UPDATES, leaked=False, others=2)
UPDATE_ATTACKS: dict[str, UpdateAttack] = {
    attack.name: attack
    for attack in (
        LossSeries("local-error", "the error under the learner's own model, over all rounds"),
        GradientCosine("gradient-cosine", "how the loss gradient lies to the update", _GRADIENTS),
        GradientDifference(
            "gradient-difference", "how much the update owes to the scan's own step", _GRADIENTS
        ),
        AllForOne(
            "fedmia:error",
            "the error under the learner's own model, against all other learners'",
            _OTHERS,
            measure=local_error,
        ),
        AllForOne(
            "fedmia:cosine",
            "how the loss gradient lies to the update, against all other learners'",
            dataclasses.replace(_OTHERS, norms=True),
        ),
        LeastSquares(
            "least-squares", "the scan's share in the update, for all candidates at once", _GRADIENTS
        ),
    )
}
