"""The inputs of the output layer: the network's last representation of a scan, without its age.

Source: a row of Gupta et al. (MIDL 2021); Nasr, Shokri and Houmansadr (S&P 2019) found that activations alone
reveal little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.signals import View
from memberscan.signals.activations import ACTIVATION

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def activations(view: View) -> Float[np.ndarray, "n a"]:
    """Return the inputs of the output layer."""
    values: np.ndarray = view[ACTIVATION]
    return values


ACTIVATIONS = LearnedAttack(
    "activation",
    "the inputs of the model's output layer",
    (ACTIVATION,),
    blocks=(Block(activations),),
)
