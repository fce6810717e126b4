"""Errors compared with those that reference models make on the same person.

Sources: Watson et al., "On the Importance of Difficulty Calibration in Membership Inference Attacks"
(ICLR 2022); Ye et al., "Enhanced Membership Inference Attacks against Machine Learning Models" (CCS 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

from memberscan.attacks.references.confidence import comparable
from memberscan.attacks.references.lira import log_square
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.references.tuning import on_target
from memberscan.attacks.with_references import ReferenceAttack

if TYPE_CHECKING:
    from jaxtyping import Float


def difficulty(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """Return the mean squared error of references that did not see the scan, minus the model's own."""
    squares = comparable(trials).of(np.square)
    return np.asarray(squares.moments.outs.mean - squares.residual)


def attack_r(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """Return log Pr(the loss of a reference that did not see the scan is at least the model's).

    With K references the share itself has K + 1 values; a Gaussian of the log losses smooths it.
    """
    losses = log_square(trials)
    outs = losses.moments.outs
    return np.asarray(log_ndtr((outs.mean - losses.residual) / np.sqrt(outs.shrunk_variance)))


DIFFICULTY = ReferenceAttack(
    "difficulty",
    "the error, compared with what reference models make of the same person",
    statistic=on_target(difficulty),
)
ATTACK_R = ReferenceAttack(
    "attack-r",
    "how many reference models that did not see this person err more",
    statistic=on_target(attack_r),
)
