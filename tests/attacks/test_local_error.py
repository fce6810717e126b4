"""The local error against its definition."""

from __future__ import annotations

import numpy as np

from memberscan.attacks.local_error import LOCAL_ERROR

from .conftest import SimulateUpdates
from .loops import ABSENT, error, loops


def test_the_local_error_is_that_of_the_learner_s_own_model(federate: SimulateUpdates):
    view, _ = federate(np.random.default_rng(1), absent=ABSENT)
    np.testing.assert_allclose(LOCAL_ERROR.by_round(view), loops(view, error), atol=1e-12)
