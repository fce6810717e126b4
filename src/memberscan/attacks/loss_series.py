"""How the error goes from round to round: members' errors fall earlier, further and more steadily.

What is summed up of the course, and its use for a regression, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.base import Attack, Features, Needs, Rule
from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.signals.signals import ROUND_PREDICTIONS, Signals
from memberscan.threat import Access

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def series(signals: Signals) -> Float[np.ndarray, "n rounds"]:
    """Return signed residuals by round, years."""
    age = signals.scans["age"].to_numpy(float)
    return np.asarray(age[:, None] - signals.arrays[ROUND_PREDICTIONS])


def course(signals: Signals) -> Float[np.ndarray, "n 4"]:
    """Return the mean and last error, its slope over rounds, and how steady the residual's sign is."""
    r = series(signals)
    error = np.abs(r)
    time = np.arange(r.shape[1]) - (r.shape[1] - 1) / 2
    slope = error @ time / max(float(time @ time), 1.0)
    steady = (np.sign(r) == np.sign(r[:, -1:])).mean(axis=1)
    return np.column_stack([error.mean(axis=1), error[:, -1], slope, steady])


@dataclass(frozen=True)
class MeanErrorAttack(Attack):
    """Score minus the mean absolute error over rounds, with nobody's membership known."""

    def observe(self, signals: Signals) -> Features:
        """Return mean absolute errors in years."""
        return Features(signals.scans.index, np.abs(series(signals)).mean(axis=1, keepdims=True))

    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:  # noqa: ARG002
        """Return the rule that needs no learning."""
        return Rule(np.array([-1.0]), None)


LOSS_SERIES = LearnedAttack(
    "loss-series",
    "how the prediction error goes over the rounds",
    Needs(Access.ROUNDS, rounds=True),
    (Block(course),),
)
ZERO_KNOWLEDGE_LOSS_SERIES = MeanErrorAttack(
    "loss-series:zero-knowledge",
    "the mean error over the rounds, with nobody's membership known",
    Needs(Access.ROUNDS, leaked=False, rounds=True),
)
