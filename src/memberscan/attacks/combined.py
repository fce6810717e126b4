"""All at once: prediction and label with the gradients of the last two layers.

Source: the last row of Gupta et al. (MIDL 2021).
"""

from __future__ import annotations

from memberscan.attacks.base import Needs
from memberscan.attacks.gradient import gradient_blocks
from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.prediction_label import residual_and_age
from memberscan.threat import Access

COMBINED = LearnedAttack(
    "prediction+label+gradient:conv6+gradient:output",
    "prediction, true age, and the loss gradients of the last two layers",
    Needs(Access.WEIGHTS, layers=("conv6", "output")),
    (Block(residual_and_age), *gradient_blocks("conv6"), *gradient_blocks("output")),
)
