from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.intervals import auc_bounds
from memberscan.evidence.power import detectable_auc, smallest_detectable_auc
from memberscan.evidence.roc import delong, null_variance
from memberscan.evidence.scores import MODEL

from .simulated import once, simulate


@pytest.mark.parametrize("side", [40, 150, 600])
@pytest.mark.parametrize("family", ["shift", "spread"])
def test_the_smallest_detectable_auc_is_found_four_times_out_of_five(side, family):
    critical = float(stats.norm.ppf(0.99))
    auc = detectable_auc(side, side, critical, small=False)
    rng, member, found = np.random.default_rng(side), np.arange(2 * side) < side, 0
    for _ in range(300):
        scores = rng.normal(size=2 * side)
        if family == "shift":
            scores = scores + np.sqrt(2) * stats.norm.ppf(auc) * member
        else:
            scores = -np.abs(scores * np.where(member, 1, np.tan(np.pi / 2 * auc)))
        value, variance = delong(scores[None], member)
        found += auc_bounds(float(value[0]), float(np.sqrt(variance[0, 0])), side, side, critical)[0] > 0.5
    assert found / 300 == pytest.approx(0.8, abs=0.09)


def test_power_of_the_permutation_rule_below_thirty():
    critical, side = float(stats.norm.ppf(0.99)), 15
    auc = detectable_auc(side, side, critical, small=True)
    rng, member = np.random.default_rng(0), np.arange(2 * side) < side
    scores = rng.normal(size=(2000, 2 * side)) + np.sqrt(2) * stats.norm.ppf(auc) * member
    values = delong(scores, member)[0]
    assert np.mean(values > 0.5 + critical * np.sqrt(null_variance(side, side))) == pytest.approx(
        0.8, abs=0.06
    )


def test_more_subjects_see_more_and_more_attacks_see_less():
    sizes = [detectable_auc(n, n, 2.33, small=False) for n in (30, 100, 1000, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert detectable_auc(100, 100, 2.9, small=False) > sizes[1] > 0.5
    assert detectable_auc(5, 5, 3.0, small=False) == 1.0


def test_the_least_sensitive_attack_decides():
    attacks, _ = simulate(np.random.default_rng(0), 200, 200)
    estimates = estimate_aucs(attacks, DeLong())
    sides = int(estimates.members[1]), int(estimates.nonmembers[1])
    effect = float(estimates.design_effect[1])
    assert smallest_detectable_auc(estimates) == detectable_auc(
        *sides, estimates.critical, effect, small=False
    )
    assert detectable_auc(*sides, estimates.critical, small=False) < smallest_detectable_auc(estimates)
    assert smallest_detectable_auc(estimate_aucs(attacks[:1], DeLong())) < smallest_detectable_auc(estimates)


def test_lopsided_strata_see_less_and_what_they_see_is_found_four_times_out_of_five():
    rng, side = np.random.default_rng(3), 400
    member = np.arange(2 * side) < side
    strata = {MODEL: ((np.arange(2 * side) % 10 < 9) == member).astype(int)}
    first = DeLong().aucs_within([once("error", rng.normal(size=2 * side), member)], strata)
    assert first is not None and first.members[0] == first.nonmembers[0] == side
    auc = smallest_detectable_auc(first)
    assert auc > detectable_auc(side, side, first.critical, small=False) + 0.02
    found = 0
    for _ in range(200):
        values = rng.normal(size=2 * side) + np.sqrt(2) * stats.norm.ppf(auc) * member
        estimates = DeLong().aucs_within([once("error", values, member)], strata)
        found += estimates is not None and estimates.simultaneous_low[0] > 0.5
    assert found / 200 == pytest.approx(0.8, abs=0.09)
