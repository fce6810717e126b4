"""The least-squares test against an augmented system, and on one plain step that it must solve exactly."""

from __future__ import annotations

import numpy as np

from memberscan.attacks.least_squares import LEAST_SQUARES, LeastSquares
from memberscan.signals.learner_updates import (
    JACOBIAN_SKETCHES,
    START_PREDICTIONS,
    TOOK_PART,
    UPDATE_SKETCHES,
)

from .conftest import SimulateUpdates, scored
from .loops import ABSENT


def test_it_is_ridge_regression_of_the_descent(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(5), each=4, held_out=6, absent=ABSENT)
    found = LeastSquares("x", "x", ridge=0.1).by_round(view)
    for t, c in np.argwhere(view[TOOK_PART]):
        j, d = view[JACOBIAN_SKETCHES][t], view[UPDATE_SKETCHES][t, c]
        penalty = 0.1 * np.mean([row @ row for row in j])
        # The coefficients that minimise |D - J'c|^2 + penalty |c|^2, by an augmented system.
        tall = np.vstack([j.T, np.sqrt(penalty) * np.eye(len(j))])
        shares = np.linalg.lstsq(tall, np.concatenate([d, np.zeros(len(j))]), rcond=None)[0]
        errors = np.sqrt(np.diag(np.linalg.inv(tall.T @ tall)))
        score = -np.sign(view.label - view[START_PREDICTIONS][t]) * shares / errors
        np.testing.assert_allclose(found[t, :, c], score / score.std(), atol=1e-9)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), ~view[TOOK_PART])


def test_it_finds_the_members_of_one_plain_step_exactly(federate: SimulateUpdates):
    view, home = federate(np.random.default_rng(6), noise=0.0, rounds=1, width=200)
    scores = scored(LeastSquares("x", "x", ridge=1e-10), view)
    for c in range(5):
        inside, outside = scores[home == c, c], scores[home != c, c]
        assert np.abs(outside).max() < 1e-6 * inside.max()
        assert inside.min() > np.abs(outside).max()
    default = scored(LEAST_SQUARES, view)
    assert all(default[home == c, c].mean() > 5 * default[home != c, c].mean() for c in range(5))
