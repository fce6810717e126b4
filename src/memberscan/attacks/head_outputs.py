"""Attacks on what a head says besides the prediction: its loss, and how uncertain it is.

A network that was trained to give a variance, quantiles or a distribution is surer of people it was trained
on. The uncertainty depends on the person even where the prediction is right by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.prediction_label import residual_and_label
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import View
from memberscan.signals.head_outputs import HEAD_OUTPUTS
from memberscan.signals.predictions import PREDICTION

if TYPE_CHECKING:
    from jaxtyping import Float


def head_loss(view: View) -> Float[np.ndarray, " n"]:
    """Return the head's loss of each scan."""
    return np.asarray(view[HEAD_OUTPUTS][:, 0])


def uncertainty_and_error(view: View) -> Float[np.ndarray, "n 3"]:
    """Return loss, uncertainty, and the size of the residual in units of the uncertainty.

    A bounded function of the last, since an uncertainty may be nearly zero.
    """
    loss, uncertainty = np.asarray(view[HEAD_OUTPUTS], dtype=float).T
    size = np.abs(view.residual)
    scale = np.maximum(uncertainty, np.finfo(float).tiny)
    return np.column_stack([loss, uncertainty, np.arctan2(size, scale)])


HEAD_LOSS = LowerForMembers(
    "head-loss:zero-knowledge",
    "the loss of the model's head, without known people",
    (HEAD_OUTPUTS,),
    measure=head_loss,
)
UNCERTAINTY = LearnedAttack(
    "prediction+label+uncertainty",
    "the prediction, the true value, and how uncertain the model is",
    (PREDICTION, HEAD_OUTPUTS),
    blocks=(Block(residual_and_label), Block(uncertainty_and_error)),
)
