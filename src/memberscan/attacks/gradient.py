"""The gradient of the loss in one layer, coordinate by coordinate.

A linear rule on raw gradients cannot use that members' gradients are small in every direction. So each
coordinate gives two features, its size and its size with sign, both on a logarithmic scale.

Source: Nasr, Shokri and Houmansadr (S&P 2019); rows of Gupta et al. (MIDL 2021). The transform is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import Block, LearnedAttack, symmetric_log
from memberscan.signals import View
from memberscan.signals.layer_gradients import gradient

if TYPE_CHECKING:
    from jaxtyping import Float


def log_size(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return log(1 + |x| / median |x|), column by column."""
    return np.asarray(np.abs(symmetric_log(values)))


def gradient_blocks(layer: str) -> tuple[Block, Block]:
    """Return the blocks that read one layer's gradients: sizes, and sizes with their sign."""

    def gradients(view: View) -> Float[np.ndarray, "n p"]:
        values: np.ndarray = view[gradient(layer)]
        return values

    return Block(gradients, log_size), Block(gradients, symmetric_log)


def gradient_attack(layer: str) -> LearnedAttack:
    """Return the attack on one layer, named by a landmark of the model or a module path."""
    return LearnedAttack(
        f"gradient:{layer}",
        f"the loss gradient of layer {layer}",
        (gradient(layer),),
        blocks=gradient_blocks(layer),
    )
