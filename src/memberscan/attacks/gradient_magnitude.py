"""The size of the loss gradient, layer by layer: training makes it small for members.

For squared error the gradient is -2 r times that of the prediction, so its norm combines the error with how
much the prediction still changes with each layer's weights.

Source: Nasr, Shokri and Houmansadr, "Comprehensive Privacy Analysis of Deep Learning" (S&P 2019); a row of
Gupta et al. (MIDL 2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import View
from memberscan.signals.layer_gradients import GRADIENT_NORMS

if TYPE_CHECKING:
    from jaxtyping import Float


def log_norms(view: View) -> Float[np.ndarray, "n layers"]:
    """Return the logarithm of each layer's gradient norm; a gradient that is always zero gives zeros."""
    norms = np.asarray(view[GRADIENT_NORMS], dtype=float)
    # A scan predicted exactly has no gradient at all; it counts as a thousandth of the typical one.
    floor = 1e-3 * np.median(norms, axis=0)
    return np.asarray(np.log(np.maximum(norms, np.where(floor > 0, floor, 1.0))))


def summed_norms(view: View) -> Float[np.ndarray, " n"]:
    """Return the sum of the layers' gradient norms."""
    return np.asarray(np.asarray(view[GRADIENT_NORMS], dtype=float).sum(axis=1))


GRADIENT_MAGNITUDE = LearnedAttack(
    "gradient-magnitude",
    "the size of the loss gradient in each layer",
    (GRADIENT_NORMS,),
    blocks=(Block(log_norms),),
)
ZERO_KNOWLEDGE_GRADIENT = LowerForMembers(
    "gradient-magnitude:zero-knowledge",
    "the summed size of the loss gradient, without known people",
    (GRADIENT_NORMS,),
    measure=summed_norms,
)
