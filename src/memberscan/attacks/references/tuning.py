"""Choose an attack's free parameters on the references: each plays the target, and its members are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.references.trials import Trials, thinned
from memberscan.attacks.with_references import Compared
from memberscan.evidence.roc import aucs_of_rows

if TYPE_CHECKING:
    from jaxtyping import Float

FEWEST = 4
"""Fewest references of which one can play the target: the others must be a pair at least."""
SCANS = 2000
"""Scans at most on which parameters are chosen."""

Score = Callable[[Trials], "Float[np.ndarray, 'models scans']"]


def on_target(*choices: Score) -> Callable[[Compared], Float[np.ndarray, " scans"]]:
    """Return the statistic of an attack: a score of the target or, of several, the best on the references.

    The first is used where references are too few.
    """

    def statistic(compared: Compared) -> Float[np.ndarray, " scans"]:
        best = 0
        if len(choices) > 1 and can_play_target(compared):
            best = int(np.argmax(aucs_for_references(compared, choices)))
        return np.asarray(choices[best](Trials.of_target(compared))[0])

    return statistic


def can_play_target(compared: Compared) -> bool:
    """Tell whether references can play the target: enough of them, with people inside and outside each."""
    inside = compared.inside
    return len(inside) >= FEWEST and bool((inside.any(axis=1) & ~inside.all(axis=1)).all())


def aucs_for_references(compared: Compared, choices: Sequence[Score]) -> Float[np.ndarray, " choices"]:
    """Return the mean AUC of each score over the references in the target's place."""
    few = thinned(compared, SCANS)
    trials, labels = Trials.of_references(few), few.inside.astype(float)
    return np.array([np.mean(aucs_of_rows(choice(trials), labels)) for choice in choices])
