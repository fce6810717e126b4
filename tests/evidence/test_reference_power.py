"""Power by the number of references: intervals, and what lies beyond the references at hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from memberscan.evidence.reference_power import measure_power


def truth(pairs: float, gain: float = 0.6) -> float:
    return float(ndtr((1.2 - gain / pairs) / np.sqrt(2)))


@pytest.mark.parametrize("twins", [4, 8, 16])
def test_intervals_cover_what_other_references_would_give(twins):
    hits = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        luck = rng.normal(size=twins) * 0.15

        def auc(chosen, luck=luck):
            return float(ndtr((1.2 - 0.6 / len(chosen) + luck[chosen].mean()) / np.sqrt(2)))

        found = measure_power("a", auc, twins, rng)
        assert [count for count, _ in found.expected] == [4 * twins, 8 * twins]
        assert found.limit is not None
        true = [*[truth(count / 2) for count, _ in found.expected], truth(np.inf)]
        all_found = [*[interval for _, interval in found.expected], found.limit]
        hits.append([i.low <= t <= i.high for i, t in zip(all_found, true, strict=True)])
    for covered in np.sum(hits, axis=0):
        assert stats.binomtest(int(covered), 150, 0.95, "less").pvalue > 1e-3


def test_more_references_never_make_an_attack_weaker_beyond_those_at_hand():
    rng = np.random.default_rng(0)
    found = measure_power("a", lambda chosen: 0.7 - 0.01 * len(chosen) + 0.01 * rng.random(), 8, rng)
    assert found.limit is not None
    assert found.expected[0][1].value == pytest.approx(found.limit.value)


def test_subsets_are_of_their_size_and_without_repeats():
    asked = []
    measure_power(
        "a",
        lambda chosen: asked.append(chosen.tolist()) or 0.6 + len(chosen) / 100,
        6,
        np.random.default_rng(0),
    )
    assert {len(chosen) for chosen in asked} == {1, 2, 4, 6}
    assert all(len(set(chosen)) == len(chosen) and max(chosen) < 6 for chosen in asked)
    assert [len(chosen) for chosen in asked].count(6) == 1


def test_few_references_are_measured_and_not_extrapolated():
    found = measure_power("a", lambda chosen: 0.6 + 0.01 * chosen[0], 2, np.random.default_rng(0))
    assert [count for count, _ in found.measured] == [2, 4]
    assert found.expected == () and found.limit is None
