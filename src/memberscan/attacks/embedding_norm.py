"""The likelihood of the lengths of an embedding among members, against that among others.

Source: after the Embedding Lp-Norm Likelihood Attack (LpLA) of Sun, Hu, Luo, Zhang, Zhang, Yuan and Zhang,
"When Better Features Mean Greater Risks: The Performance-Privacy Trade-Off in Contrastive Learning"
(arXiv:2506.05743), of which only the abstract was read: it infers membership from the distribution of the
p-norm of feature vectors. Which norms, their joint normal law, and how it is fitted are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.attack import Features, FittedAttack, Rule
from memberscan.attacks.learner import standardise
from memberscan.signals import View
from memberscan.signals.activations import ACTIVATION

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

ORDERS = (1, 2, np.inf)
POOLED = 10
"""Scans: each side's covariance is estimated as if that many more had the mean covariance of both sides."""
FLOOR = 1e-6
"""Least variance of a coordinate; those of all scans have variance 1."""


def log_norms(view: View) -> Float[np.ndarray, "n orders"]:
    """Return the logs of the 1-norm, the Euclidean norm and the largest entry of each embedding."""
    values = np.asarray(view[ACTIVATION], dtype=float)
    norms = np.column_stack([np.linalg.norm(values, order, axis=1) for order in ORDERS])
    return np.asarray(np.log(np.maximum(norms, np.finfo(float).tiny)))


def normal_law(
    values: Float[np.ndarray, "n d"], around: Float[np.ndarray, "d d"]
) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, " d"], float]:
    """Return A, b and c so that x'Ax + b'x + c is the log density of a fitted normal law, up to a constant.

    Parameters
    ----------
    values
        Draws of the law.
    around
        The covariance that theirs is shrunk towards.
    """
    n, d = values.shape
    mean, own = values.mean(axis=0), np.cov(values.T, ddof=0).reshape(d, d)
    covariance = (n * own + POOLED * around) / (n + POOLED) + FLOOR * np.eye(d)
    precision = np.linalg.inv(covariance)
    constant = -float(mean @ precision @ mean + np.linalg.slogdet(covariance)[1]) / 2
    return -precision / 2, precision @ mean, constant


@dataclass(frozen=True)
class NormLikelihood(FittedAttack):
    """Score the log-likelihood ratio of two normal laws of the logs of an embedding's norms."""

    def observe(self, view: View) -> Features:
        """Return uncorrelated coordinates of the logs of the norms, and the products of every two of them.

        The norms are almost proportional to each other, and how they differ would be lost in rounding. The
        ratio is linear in the coordinates and their products.
        """
        vectors, s, _ = np.linalg.svd(standardise(log_norms(view)), full_matrices=False)
        x = standardise(vectors * (s > 1e-9 * max(s[0], 1e-9)))
        first, second = np.triu_indices(x.shape[1])
        return Features(view.scans.index, np.column_stack([x, x[:, first] * x[:, second]]))

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Fit a normal law to the known members, and one to the known non-members."""
        d = len(ORDERS)
        sides = [known.values[side, :d] for side in (member, ~member)]
        around = np.mean([np.cov(values.T, ddof=0) for values in sides], axis=0)
        (a1, b1, c1), (a0, b0, c0) = (normal_law(values, around) for values in sides)
        square = (a1 - a0) * (2 - np.eye(d))  # each product of two different coordinates is a column once
        return Rule(np.concatenate([b1 - b0, square[np.triu_indices(d)]]), c1 - c0)


EMBEDDING_NORM = NormLikelihood(
    "embedding-norm",
    "how likely the lengths of the model's embedding are among members and among others",
    (ACTIVATION,),
    on_request=True,
)
