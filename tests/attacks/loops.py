"""What updates show, one round, scan and learner at a time: the definitions that attacks are held to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from memberscan.signals import View
from memberscan.signals.learner_updates import (
    JACOBIAN_SKETCHES,
    LOCAL_PREDICTIONS,
    START_PREDICTIONS,
    TOOK_PART,
    UPDATE_SKETCHES,
)

ABSENT = [(0, 1), (2, 0), (2, 4)]
"""Who is left out of which round, where a test leaves somebody out."""


def gradient_of(view: View, t: int, n: int) -> np.ndarray:
    """Return a scan's loss gradient; the simulation's sketches are its Jacobians, whole."""
    r = view.label[n] - view[START_PREDICTIONS][t, n]
    gradient: np.ndarray = -2 * r * view[JACOBIAN_SKETCHES][t][n]
    return gradient


def cosine(view: View, t: int, n: int, c: int) -> float:
    g, d = gradient_of(view, t, n), view[UPDATE_SKETCHES][t, c]
    return float(g @ d / (np.linalg.norm(g) * np.linalg.norm(d)))


def error(view: View, t: int, n: int, c: int) -> float:
    return float(-abs(view.label[n] - view[LOCAL_PREDICTIONS][t, n, c]))


def loops(view: View, score: Callable[[View, int, int, int], float]) -> np.ndarray:
    """Return what a definition gives of each round, scan and learner that took part."""
    found = np.full((len(view.rounds), len(view.scans), len(view.learners)), np.nan)
    for t, c in np.argwhere(view[TOOK_PART]):
        for n in range(len(view.scans)):
            found[t, n, c] = score(view, t, n, c)
    return found
