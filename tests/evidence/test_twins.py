"""Residuals by twins, normalised, and partners with opposite masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.errors import MisalignedError, NonFiniteError
from memberscan.evidence.twins import Twins, normalised, partners
from memberscan.studies.exposure import masks


def example(references: int = 6, people: int = 20, seed: int = 0):
    rng = np.random.default_rng(seed)
    residuals = rng.normal(size=(references, people))
    return residuals, masks(references, people, rng), rng.uniform(20, 80, people)


def test_each_side_is_the_twin_that_was_trained_on_the_person_or_the_other():
    residuals, inside, age = example()
    twins, rest = Twins.of(residuals, inside, age), normalised(residuals, age)
    for j in range(3):
        for person in range(20):
            a, b = (2 * j, 2 * j + 1) if inside[2 * j, person] else (2 * j + 1, 2 * j)
            assert twins.inside[j, person] == rest[a, person]
            assert twins.outside[j, person] == rest[b, person]
    assert twins.count.tolist() == [3] * 20
    back = twins.swapped(np.ones((3, 20), dtype=bool))
    assert (back.inside == twins.outside).all() and (back.outside == twins.inside).all()
    assert (twins.without(1).inside == twins.inside[[0, 2]]).all()


def test_twins_that_agree_on_a_person_say_nothing_of_it():
    residuals, inside, age = example()
    inside[:2, 4] = True
    inside[:, 5] = False
    twins = Twins.of(residuals, inside, age)
    assert twins.count[[4, 5]].tolist() == [2, 0]
    assert twins.inside[0, 4] == twins.outside[0, 4] == 0


@given(st.integers(0, 10**6), st.floats(-30, 30), st.floats(-2, 2), st.floats(0.2, 5))
def test_what_models_of_one_recipe_differ_in_is_taken_out(seed, offset, slope, scale):
    residuals, _, age = example(seed=seed)
    changed = residuals.copy()
    changed[2] = scale * residuals[2] + offset + slope * age + 0.01 * age**2
    plain, other = normalised(residuals, age), normalised(changed, age)
    # Up to the scale that all have in common.
    np.testing.assert_allclose(other[2] / other[0].std(), plain[2] / plain[0].std(), atol=1e-7)
    assert other.std(axis=1) == pytest.approx([other[0].std()] * 6)


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(4, 40), st.integers(0, 10**6))
def test_partners_have_opposite_masks_and_each_other(pairs_of_models, half, seed):
    _, inside, age = example(2 * pairs_of_models, 2 * half, seed)
    found = partners(inside, age)
    for person, other in enumerate(found.tolist()):
        if other >= 0:
            assert found[other] == person
            assert (inside[:, person] != inside[:, other]).all()
    # Everybody has a neighbour with the opposite mask, so nobody is left over.
    assert (found >= 0).all()


def test_with_many_references_partners_are_the_pairs_that_were_drawn():
    _, inside, age = example(64, 40)
    assert partners(inside, age).tolist() == [k ^ 1 for k in range(40)]
    assert (partners(inside[:, :3], age[:3]) == [1, 0, -1]).all()


def test_what_does_not_fit_is_refused():
    residuals, inside, age = example()
    with pytest.raises(MisalignedError, match=r"residuals of shape \(6, 20\).*give residuals and boolean"):
        Twins.of(residuals, inside, age[:-1])
    with pytest.raises(MisalignedError, match="int64 inside"):
        Twins.of(residuals, inside.astype(int), age)
    with pytest.raises(MisalignedError, match="there are 5 references; give them in pairs"):
        Twins.of(residuals[:5], inside[:5], age)
    with pytest.raises(NonFiniteError, match="leave out references that failed"):
        Twins.of(np.where(residuals > 2, np.nan, residuals) * np.inf, inside, age)
    constant = residuals.copy()
    constant[3] = age - 55
    with pytest.raises(NonFiniteError, match="reference 3 predicts the same number"):
        Twins.of(constant, inside, age)
