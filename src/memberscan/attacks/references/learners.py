"""What stacking learns with: a ridge-penalised logistic regression, and boosted trees; both give log odds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from memberscan.attacks.references.trials import Trials

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LogOdds = Callable[["Float[np.ndarray, 'rows columns']"], "Float[np.ndarray, ' rows']"]
PENALTY = 3e-3
"""Of standardised coefficients, in units of the mean log-likelihood of a row."""
NEWTON_STEPS = 8
TREES, LEAVES, SHARE_OF_COLUMNS = 40, 8, 0.3
FORESTS = 2
"""How many times trees are grown from other random columns; their mean varies less."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the learners see of some trials, all scans of a model below those of the one before.

    Parameters
    ----------
    ranks
        Of the scores within a model, as normal quantiles: what scores mean, not their units.
    measured
        The same, absolute residuals and label, of which trees find bands and edges.
    """

    ranks: Float[np.ndarray, "rows scores"]
    measured: Float[np.ndarray, "rows columns"]

    @classmethod
    def of(cls, trials: Trials, scores: Sequence[Float[np.ndarray, "models scans"]]) -> Inputs:
        """Put the scores of some trials into rows."""
        ranks = [ndtri(ranked(score)).ravel() for score in scores]
        others = [np.abs(same.residual).ravel() for same in (trials, trials.detrended)]
        others.append(np.tile(trials.label, len(trials.residual)))
        return cls(np.stack(ranks, axis=1), np.stack([*ranks, *others], axis=1))


def ranked(scores: Float[np.ndarray, "models scans"]) -> Float[np.ndarray, "models scans"]:
    """Return ranks within each model, between 0 and 1; ties share theirs."""
    return np.asarray(rankdata(scores, axis=1) / (scores.shape[1] + 1))


def logistic(values: Float[np.ndarray, "rows columns"], member: Bool[np.ndarray, " rows"]) -> LogOdds:
    """Fit a logistic regression by Newton's method."""
    centre, spread = values.mean(axis=0), values.std(axis=0) + 1e-9

    def design(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([(rows - centre) / spread, np.ones((len(rows), 1))], axis=1)

    x = design(values)
    penalty = np.append(np.full(values.shape[1], PENALTY * len(x)), 1e-9)
    weights = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-(x @ weights)))
        curvature = (x.T * (chance * (1 - chance))) @ x + np.diag(penalty)
        weights -= np.linalg.solve(curvature, x.T @ (chance - member) + penalty * weights)
    return lambda rows: np.asarray(design(rows) @ weights)


def trees(values: Float[np.ndarray, "rows columns"], member: Bool[np.ndarray, " rows"]) -> LogOdds:
    """Fit boosted trees; on one thread, so that sums are made in one order."""
    # Imported here, since it takes most of a second.
    from sklearn.ensemble import HistGradientBoostingClassifier

    models = [
        HistGradientBoostingClassifier(
            max_iter=TREES,
            max_leaf_nodes=LEAVES,
            max_features=SHARE_OF_COLUMNS,
            l2_regularization=5.0,
            min_samples_leaf=max(20, len(values) // 100),
            early_stopping=False,
            random_state=place,
        )
        for place in range(FORESTS)
    ]
    with threadpool_limits(1, "openmp"):
        for model in models:
            model.fit(values, member)

    def log_odds(rows: np.ndarray) -> np.ndarray:
        with threadpool_limits(1, "openmp"):
            return np.asarray(np.mean([model.decision_function(rows) for model in models], axis=0))

    return log_odds
