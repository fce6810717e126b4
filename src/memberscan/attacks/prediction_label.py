"""Prediction and label jointly: how the error goes with age, which one number, the error, does not show.

A network regresses to the mean age: its errors follow age, for its members more regularly than for others. So
the classifier sees the signed residual, its size and square, age and its square, and the products of residual
and age.

Source: Gupta et al., "Membership Inference Attacks on Deep Regression Models for Neuroimaging" (MIDL 2021),
who train a classifier on prediction and label; the choice of columns is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.signals import PREDICTION, View

if TYPE_CHECKING:
    from jaxtyping import Float


def residual_and_age(view: View) -> Float[np.ndarray, "n 7"]:
    """Return residual, its size and square, age, its square, and the products of the first two with age."""
    r, age = view.residual, view.age
    y = age - age.mean()
    return np.column_stack([r, np.abs(r), r**2, y, y**2, r * y, np.abs(r) * y])


PREDICTION_LABEL = LearnedAttack(
    "prediction+label",
    "the prediction and the true age together",
    (PREDICTION,),
    blocks=(Block(residual_and_age),),
)
