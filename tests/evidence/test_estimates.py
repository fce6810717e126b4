"""AUCs of all attacks at once: bounds that hold together, whatever the errors come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memberscan.errors import MisalignedError
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_accuracies, estimate_aucs, paired_difference
from memberscan.evidence.resampling import Resampling

from .simulated import once, simulate


def test_a_perfect_and_a_constant_attack_have_intervals():
    member = np.arange(40) < 20
    perfect, constant = once("perfect", member.astype(float), member), once("constant", np.zeros(40), member)
    estimates = estimate_aucs([perfect, constant], DeLong())
    assert estimates.simultaneous_low[0] > 0.5 > estimates.simultaneous_low[1]
    assert all(i.low < i.high for i in estimates.intervals)
    assert estimates.strongest == 0
    assert not estimates.below_chance.any()
    reversed_ = estimate_aucs([replace(perfect, values=-perfect.values)], DeLong())
    assert reversed_.below_chance.tolist() == [True]


@pytest.mark.parametrize("estimate", [estimate_aucs, estimate_accuracies])
def test_scores_that_cannot_be_compared_are_refused_by_every_estimate(estimate):
    attacks, _ = simulate(np.random.default_rng(0), 20, 20)
    with pytest.raises(MisalignedError, match="names that differ"):
        estimate([attacks[1], attacks[1]], DeLong())
    with pytest.raises(MisalignedError, match="people"):
        paired_difference(attacks[0], attacks[1].of_people(np.arange(30)), DeLong())


def test_both_sources_of_errors_agree_where_each_person_is_scored_once():
    rng = np.random.default_rng(1)
    member = np.arange(190) < 90
    base = rng.normal(size=190) + 0.8 * member
    attacks = [once("a", base, member, 0.3), once("b", base + rng.normal(size=190), member, 0.4)]
    closed, drawn = DeLong(), Resampling.draw(attacks, np.random.default_rng(2), resamples=4000)
    one, other = (estimate_aucs(attacks, errors) for errors in (closed, drawn))
    np.testing.assert_allclose(other.auc, one.auc)
    np.testing.assert_allclose(other.standard_error, one.standard_error, rtol=0.06)
    np.testing.assert_allclose(other.correlation, one.correlation, atol=0.05)
    assert (other.members.tolist(), other.nonmembers.tolist()) == ([90, 90], [100, 100])
    for mine, theirs in zip(*(estimate_accuracies(attacks, e) for e in (closed, drawn)), strict=True):
        assert theirs.value == pytest.approx(mine.value)
        assert theirs.high - theirs.low == pytest.approx(mine.high - mine.low, rel=0.1)
    one, other = (paired_difference(*attacks, errors) for errors in (closed, drawn))
    assert other.value == pytest.approx(one.value)
    assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.06)
