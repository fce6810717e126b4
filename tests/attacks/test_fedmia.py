"""FedMIA against the published formula, and what its prior does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from memberscan.attacks.fedmia import FEDMIA_COSINE, FEDMIA_ERROR, FedMIA
from memberscan.attacks.local_error import local_error
from memberscan.attacks.on_learners import cosines
from memberscan.signals import View
from memberscan.signals.learner_updates import TOOK_PART

from .conftest import SimulateUpdates, scored
from .loops import ABSENT, cosine, error, loops


@pytest.mark.parametrize(("measure", "own"), [(cosines, cosine), (local_error, error)])
def test_without_a_prior_it_is_the_published_formula(measure, own, federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(3), absent=ABSENT)

    def phi(view: View, t: int, n: int, c: int) -> float:
        others = [own(view, t, n, o) for o in np.flatnonzero(view[TOOK_PART][t]) if o != c]
        z = (own(view, t, n, c) - np.mean(others)) / np.std(others, ddof=1)
        return 0.5 * (1 + math.erf(z / math.sqrt(2)))

    attack = FedMIA("x", "x", measure=measure, prior=0.0)
    expected = loops(view, phi)
    np.testing.assert_allclose(attack.by_round(view), expected, atol=1e-9)
    np.testing.assert_allclose(scored(attack, view), np.nanmean(expected, axis=0), atol=1e-9)


def test_a_prior_draws_every_spread_to_the_mean_of_all(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(4))
    measured = cosines(view)[0]
    spread = np.sqrt(np.var(measured[:, 1:], axis=1, ddof=1).mean())
    far = FedMIA("x", "x", measure=cosines, prior=1e9).by_round(view)[0, :, 0]
    expected = stats.norm.cdf((measured[:, 0] - measured[:, 1:].mean(axis=1)) / spread)
    np.testing.assert_allclose(far, expected, atol=1e-6)


@pytest.mark.parametrize("attack", [FEDMIA_ERROR, FEDMIA_COSINE], ids=lambda attack: attack.name)
def test_a_round_with_fewer_others_than_it_needs_tells_nothing(attack: FedMIA, federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(5), learners=3, absent=[(1, 2)])
    found = attack.by_round(view)
    assert np.isfinite(found[[0, 2]]).all() and np.isnan(found[1]).all()
