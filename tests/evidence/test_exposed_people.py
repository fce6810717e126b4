"""The list of exposed people: false discoveries on people whom no model ever saw, and the filter itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from memberscan.evidence.exposed_people import q_values, swap_evidence
from memberscan.evidence.twins import Twins
from memberscan.studies.exposure import World

evidence = hnp.arrays(float, st.integers(1, 60), elements=st.integers(-20, 20).map(float))


@pytest.mark.parametrize("references", [4, 8, 24])
@pytest.mark.parametrize(
    ("untouched", "features", "heavy"), [(0.5, 60, False), (0.8, 40, False), (0.8, 20, True)]
)
def test_false_discoveries_are_as_rare_as_promised(references, untouched, features, heavy):
    """The mask of untouched people says nothing, so that their two laws are equal: the truth is known."""
    shares, found = [], []
    for seed in range(40):
        world = World.of(300, features, seed, untouched, heavy)
        listed = q_values(swap_evidence(world.twins(references, seed))) <= 0.1
        shares.append((listed & world.untouched).sum() / max(listed.sum(), 1))
        found.append(listed.sum())
    assert stats.ttest_1samp(shares, 0.1, alternative="greater").pvalue > 1e-3 or np.mean(shares) <= 0.1
    if references == 24:
        assert np.mean(found) > 10


def test_where_nobody_is_touched_hardly_any_list_names_anybody():
    named = 0
    for seed in range(60):
        world = World.of(400, 60, seed, 0.5)
        residuals, inside = world.references(8, seed)
        kept = world.untouched
        twins = Twins.of(residuals[:, kept], inside[:, kept], world.age[kept])
        named += (q_values(swap_evidence(twins)) <= 0.1).any()
    assert stats.binomtest(named, 60, 0.1, "greater").pvalue > 1e-3


def test_swapping_all_twins_of_one_person_turns_the_sign_of_its_evidence():
    world = World.of(60, 15)
    twins = world.twins(8, 0)
    before = swap_evidence(twins)
    for person in (0, 13, 40):
        swap = np.zeros(twins.told.shape, dtype=bool)
        swap[:, person] = True
        assert swap_evidence(twins.swapped(swap))[person] == pytest.approx(-before[person], rel=1e-3)


def test_with_eight_references_most_of_those_exposed_are_found():
    world = World.of(300, 100)
    assert (q_values(swap_evidence(world.twins(8, 3))) <= 0.1).mean() > 0.8


@given(evidence, st.sampled_from([0.1, 0.2, 0.5]))
def test_q_values_against_a_naive_twin(values, rate):
    def share(t):
        return (1 + (values <= -t).sum()) / max((values >= t).sum(), 1)

    thresholds = [t for t in np.unique(np.abs(values[values != 0])) if share(t) <= rate]
    naive = values >= min(thresholds) if thresholds else np.zeros(len(values), dtype=bool)
    assert ((q_values(values) <= rate) == naive).all()


@given(evidence)
def test_more_evidence_never_has_a_greater_q_value(values):
    q = q_values(values)
    assert ((q > 0) & (q <= 1)).all()
    order = np.argsort(values)
    assert (np.diff(q[order]) <= 1e-12).all()
    assert (q[values <= 0] == 1).all()


def test_people_without_evidence_are_not_listed():
    assert q_values(np.array([np.nan, *[5.0] * 20])).tolist() == [1.0, *[1 / 20] * 20]
