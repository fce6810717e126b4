"""Signed residuals compared with others' against their definition, and what they add to absolute errors."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.attacks.fedmia import FEDMIA_ERROR
from memberscan.attacks.signed_residual import SIGNED_RESIDUAL, SignedResidual
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import View
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS, TOOK_PART

from .conftest import SimulateUpdates, changed, scored
from .loops import ABSENT, loops


def residual(view: View, t: int, n: int, c: int) -> float:
    every = view.label - view[LOCAL_PREDICTIONS][t, :, c]
    return float(every[n] - every.mean())


def test_without_a_prior_it_is_its_definition(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(3), absent=ABSENT)

    def moved(view: View, t: int, n: int, c: int) -> float:
        others = [residual(view, t, n, o) for o in np.flatnonzero(view[TOOK_PART][t]) if o != c]
        m, sd = np.mean(others), np.std(others, ddof=1)
        return float(-np.sign(m) * (residual(view, t, n, c) - m) / sd)

    attack = SignedResidual("x", "x", others=2, prior=0.0)
    np.testing.assert_allclose(attack.by_round(view), loops(view, moved), atol=1e-9)


def with_offsets(view: View, offsets: np.ndarray) -> View:
    """Let each learner's model of each round predict everybody older by a constant."""
    return changed(view, {LOCAL_PREDICTIONS: view[LOCAL_PREDICTIONS] + offsets[:, None, :]})


def test_how_old_a_model_predicts_everybody_does_not_matter(federate: SimulateUpdates):
    rng = np.random.default_rng(4)
    view, _ = federate(rng)
    other = with_offsets(view, rng.normal(0, 10, (3, 5)))
    np.testing.assert_allclose(scored(SIGNED_RESIDUAL, other), scored(SIGNED_RESIDUAL, view), atol=1e-9)


def aucs(view: View, home: np.ndarray) -> np.ndarray:
    """Return the mean AUC over learners, by absolute errors and by signed residuals."""
    found = []
    for attack in (FEDMIA_ERROR, SIGNED_RESIDUAL):
        scores = scored(attack, view)
        each = []
        for victim in range(len(view.learners)):
            asked = (home == victim) | (home < 0)
            member = (home == victim)[asked].astype(float)
            each.append(aucs_of_rows(scores[asked, victim][None], member[None])[0])
        found.append(np.mean(each))
    return np.array(found)


@pytest.mark.parametrize(("spread", "ahead"), [(0.0, -0.02), (5.0, 0.1)])
def test_it_finds_members_behind_offsets_that_hide_them_from_absolute_errors(
    spread: float, ahead: float, federate: SimulateUpdates
):
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        view, home = federate(rng, each=20, held_out=40, leak=0.5)
        found.append(aucs(with_offsets(view, rng.normal(0, spread, (3, 5))), home))
    by_size, by_sign = np.mean(found, axis=0)
    assert by_sign > 0.65 and by_sign - by_size > ahead


def test_a_round_with_fewer_others_than_it_needs_tells_nothing(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(5), learners=3, absent=[(1, 2)])
    found = SIGNED_RESIDUAL.by_round(view)
    assert np.isfinite(found[[0, 2]]).all() and np.isnan(found[1]).all()
