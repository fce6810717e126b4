"""How far the answer jumps when one bit of the scan is changed, as that of a service that knows members does.

Source of the idea: defences of answers that treat the scans of members otherwise fall to changed copies
(Choquette-Choo et al., "Label-Only Membership Inference Attacks", ICML 2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import PREDICTION, View
from memberscan.signals.nearby_predictions import NEARBY_PREDICTION

if TYPE_CHECKING:
    from jaxtyping import Float


def minus_jump(view: View) -> Float[np.ndarray, " n"]:
    """Return minus the absolute difference of both answers."""
    return np.asarray(-np.abs(np.asarray(view[PREDICTION]) - np.asarray(view[NEARBY_PREDICTION])))


ANSWER_JUMP = LowerForMembers(
    "answer-jump",
    "how far the answer of a service jumps when one bit of the scan is changed",
    (PREDICTION, NEARBY_PREDICTION),
    measure=minus_jump,
)
