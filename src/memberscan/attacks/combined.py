"""Combined attack: prediction and label with the gradients of the last two layers.

Source: the last row of Gupta et al. (MIDL 2021).
"""

from __future__ import annotations

from memberscan.attacks.gradient import gradient_blocks
from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.prediction_label import residual_and_label
from memberscan.signals import PREDICTION
from memberscan.signals.layer_gradients import gradient

COMBINED = LearnedAttack(
    "prediction+label+gradient:conv6+gradient:output",
    "prediction, true value, and the loss gradients of the last two layers",
    (PREDICTION, gradient("conv6"), gradient("output")),
    blocks=(Block(residual_and_label), *gradient_blocks("conv6"), *gradient_blocks("output")),
)
