"""The error attack: predictions are better for people the model was trained on.

Source: Yeom, Giacomelli, Fredrikson and Jha, "Privacy Risk in Machine Learning" (CSF 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.attack import Features, FittedAttack, Rule
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import PREDICTION, View

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def absolute_error(view: View) -> Float[np.ndarray, " n"]:
    """Return absolute residuals."""
    return np.asarray(np.abs(view.residual))


@dataclass(frozen=True)
class ErrorAttack(FittedAttack):
    """Score minus the absolute error; the known subjects set the threshold."""

    def observe(self, view: View) -> Features:
        """Return absolute residuals."""
        return Features(view.scans.index, absolute_error(view)[:, None])

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Place the threshold where two Gaussians with the known errors' spreads cross."""
        error = known.values[:, 0]
        return Rule(np.array([-1.0]), crossing(error[member], error[~member]))


def crossing(inside: Float[np.ndarray, " m"], outside: Float[np.ndarray, " n"]) -> float:
    """Return the absolute error at which zero-mean Gaussians, fitted to the errors of each side, cross.

    With spreads s1 < s0: s1 s0 sqrt(2 ln(s0 / s1) / (s0^2 - s1^2)). If members' errors are not
    smaller, there is no reliable crossing, and the median of all errors is returned.
    """
    s1, s0 = float(np.sqrt(np.mean(inside**2))), float(np.sqrt(np.mean(outside**2)))
    if not 0 < s1 < s0 * (1 - 1e-9):
        return float(np.median(np.concatenate([inside, outside])))
    return s1 * s0 * float(np.sqrt(2 * np.log(s0 / s1) / (s0**2 - s1**2)))


ERROR = ErrorAttack("error", "the size of the prediction error", (PREDICTION,))
ZERO_KNOWLEDGE_ERROR = LowerForMembers(
    "error:zero-knowledge",
    "the size of the prediction error, without known people",
    (PREDICTION,),
    measure=absolute_error,
)
