"""Attacks that compare a loss gradient with an update, against loops over their definitions."""

from __future__ import annotations

import math

import numpy as np

from memberscan.attacks.gradient_alignment import GRADIENT_COSINE, GRADIENT_DIFFERENCE
from memberscan.signals import View
from memberscan.signals.learner_updates import UPDATE_SKETCHES

from .conftest import SimulateUpdates
from .loops import ABSENT, cosine, gradient_of, loops


def test_the_cosine_is_that_of_two_vectors(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(0), absent=ABSENT)
    np.testing.assert_allclose(GRADIENT_COSINE.by_round(view), loops(view, cosine), atol=1e-12)


def test_the_difference_is_that_of_two_squared_lengths(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(2), absent=ABSENT)
    n = len(view.scans)

    def shorter(view: View, t: int, scan: int, c: int) -> float:
        g, d = gradient_of(view, t, scan), view[UPDATE_SKETCHES][t, c]
        typical = np.median([np.linalg.norm(gradient_of(view, t, k)) for k in range(n)])
        a = np.linalg.norm(d) / (typical * math.sqrt(n / len(view.learners)))
        return float((d @ d - (d - a * g) @ (d - a * g)) / (d @ d))

    np.testing.assert_allclose(GRADIENT_DIFFERENCE.by_round(view), loops(view, shorter), atol=1e-10)
