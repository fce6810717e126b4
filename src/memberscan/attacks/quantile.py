"""The error against those that non-members with the same covariates have.

Source: Bertran et al., "Scalable Membership Inference Attacks via Quantile Regression" (NeurIPS 2023), with a
Gaussian law of the score. Theirs is for classifiers, and regresses on the input itself.

If non-members' residuals are Gaussian with a spread that depends on covariates, the log of their square is
the log of that variance plus a term of one law for everybody. So a regression of its mean is enough, and all
its quantiles rank people alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.attack import Features, FittedAttack, Rule
from memberscan.attacks.learner import standardise
from memberscan.signals import PREDICTION, View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.covariates import COVARIATES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FEWEST = 200
"""Known non-members; with fewer, what is learnt of them costs more than it brings."""
FLOOR = 0.001
"""Added to the squared residual, in units of its median: the log of a tiny residual would rule the fit."""
COMPONENTS = 6
PENALTIES = np.logspace(-2, 4, 13)


def of_people(view: View) -> Float[np.ndarray, "n c"]:
    """Return what is known of people without the model."""
    columns: np.ndarray = view[COVARIATES]
    return columns


def of_people_and_scans(view: View) -> Float[np.ndarray, "n c"]:
    """Return the same with the leading components of the embedding, and their squares.

    What the prediction explains of the embedding is removed first. Age and prediction together are the
    residual, and a regression that has both would explain away what tells members from others.
    """
    features = standardise(np.asarray(view[ACTIVATION], dtype=float))
    prediction = standardise(view[PREDICTION][:, None].astype(float))
    rest = features - prediction @ (prediction.T @ features) / len(features)
    vectors, s, _ = np.linalg.svd(rest, full_matrices=False)
    kept = standardise(vectors[:, :COMPONENTS] * (s[:COMPONENTS] > 1e-9 * max(s[0], 1e-9)))
    return np.hstack([of_people(view), kept, standardise(kept**2)])


@dataclass(frozen=True)
class QuantileAttack(FittedAttack):
    """Score how far the log of the squared residual lies below what covariates predict of a non-member.

    Parameters
    ----------
    regressors
        Gives the columns that the law of non-members may depend on.
    """

    regressors: Callable[[View], Float[np.ndarray, "n c"]] = field(kw_only=True)

    def observe(self, view: View) -> Features:
        """Return the log of the squared residual, then the regressors."""
        square = view.residual**2
        floor = max(FLOOR * float(np.median(square)), 1e-12)
        return Features(view.scans.index, np.column_stack([np.log(square + floor), self.regressors(view)]))

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Regress on the known non-members; known members only help to place the threshold."""
        from sklearn.linear_model import RidgeCV

        others = known.values[~member]
        model = RidgeCV(PENALTIES).fit(others[:, 1:], others[:, 0])
        rule = Rule(np.append(-1.0, model.coef_), float(model.intercept_))
        score = rule.score(known)
        between = (score[member].mean() + score[~member].mean()) / 2
        return Rule(rule.weights, rule.offset - float(between))


QUANTILE = QuantileAttack(
    "quantile",
    "the error, compared with that of non-members with the same covariates",
    (PREDICTION, COVARIATES),
    nonmembers=FEWEST,
    on_request=True,
    regressors=of_people,
)
QUANTILE_EMBEDDING = QuantileAttack(
    "quantile:embedding",
    "the error, compared with that of non-members with the same covariates and similar scans",
    (PREDICTION, COVARIATES, ACTIVATION),
    nonmembers=FEWEST,
    on_request=True,
    regressors=of_people_and_scans,
)
