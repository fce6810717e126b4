from __future__ import annotations

import numpy as np
import pytest

from memberscan.errors import MisalignedError, NonFiniteError, TooFewSubjectsError
from memberscan.evidence.scored import Scored, check_aligned


@pytest.mark.parametrize(
    ("fitted", "scores", "thresholds", "error"),
    [
        (False, np.zeros(9), np.zeros(1), MisalignedError),
        (False, np.zeros((1, 9)), np.zeros(2), MisalignedError),
        (False, np.zeros((2, 9)), np.zeros(2), MisalignedError),
        (False, np.full((1, 9), np.nan), np.zeros(1), NonFiniteError),
        (True, np.full((1, 9), np.inf), np.zeros(1), NonFiniteError),
    ],
)
def test_malformed_scores_are_refused_by_name(fitted, scores, thresholds, error):
    with pytest.raises(error, match="attack loss"):
        Scored("loss", fitted, scores, thresholds)


def test_attacks_must_share_subjects_and_draws(simulate):
    rng = np.random.default_rng(0)
    attacks, member = simulate(rng, 20, 23)
    check_aligned(attacks, member)
    with pytest.raises(MisalignedError, match="43 subjects of 42"):
        check_aligned(attacks, member[:-1])
    with pytest.raises(MisalignedError, match="booleans"):
        check_aligned(attacks, member.astype(int))
    others, _ = simulate(rng, 20, 23)
    with pytest.raises(MisalignedError, match="same draws"):
        check_aligned([attacks[1], others[2]], member)


def test_too_few_subjects_are_refused(simulate):
    attacks, member = simulate(np.random.default_rng(0), 9, 30)
    with pytest.raises(TooFewSubjectsError, match="9 members"):
        check_aligned(attacks, member)
    member = np.arange(30) < 15
    scores = np.where(np.arange(30) < 14, np.nan, 0.0)[None]
    with pytest.raises(TooFewSubjectsError, match="leak fewer"):
        check_aligned([Scored("f", True, scores, np.zeros(1))], member)
