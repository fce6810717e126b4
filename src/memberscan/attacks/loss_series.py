"""The course of the error over a training: members' errors fall earlier, further and more steadily.

The models are those of a federation's rounds, or checkpoints and the finished model. The summary of the
course, and its use for a regression, are ours. Without known people, earlier models say how hard a person is
to predict, as reference models do for Watson et al. (ICLR 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import View
from memberscan.signals.round_predictions import ROUND_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float


def series(view: View) -> Float[np.ndarray, "n rounds"]:
    """Return residuals by round, or by checkpoint."""
    return view.residuals(view[ROUND_PREDICTIONS], scans=0)


def course(view: View) -> Float[np.ndarray, "n 4"]:
    """Return the mean and last error, its slope over rounds, and how steady the residual's sign is."""
    r = series(view)
    error = np.abs(r)
    time = np.arange(r.shape[1]) - (r.shape[1] - 1) / 2
    slope = error @ time / max(float(time @ time), 1.0)
    steady = (np.sign(r) == np.sign(r[:, -1:])).mean(axis=1)
    return np.column_stack([error.mean(axis=1), error[:, -1], slope, steady])


def minus_fall(view: View) -> Float[np.ndarray, " n"]:
    """Return the last absolute error less the mean of those before; of one round alone, the error."""
    error = np.abs(series(view))
    before = error[:, :-1].mean(axis=1) if error.shape[1] > 1 else 0.0
    return np.asarray(error[:, -1] - before)


LOSS_SERIES = LearnedAttack(
    "loss-series",
    "how the prediction error changes over the rounds or checkpoints",
    (ROUND_PREDICTIONS,),
    blocks=(Block(course),),
)
ZERO_KNOWLEDGE_LOSS_SERIES = LowerForMembers(
    "loss-series:zero-knowledge",
    "how far the error fell over the rounds or checkpoints, without known people",
    (ROUND_PREDICTIONS,),
    measure=minus_fall,
)
