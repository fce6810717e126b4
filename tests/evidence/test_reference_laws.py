"""Learned laws against the truth of linear models, and what they must not do with few references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.errors import TooFewSubjectsError
from memberscan.evidence.reference_laws import enough, learn_laws, moderated
from memberscan.evidence.twins import Twins
from memberscan.studies.exposure import World, masks


@pytest.mark.parametrize("features", [20, 60, 120])
@pytest.mark.parametrize("references", [4, 8, 16])
def test_laws_are_right_on_average_and_among_the_most_exposed(features, references):
    """With 4 references the usual estimate, by person alone, is .1 to .2 too high on average."""
    world = World.of(300, features)
    true = world.truth().auc
    found = np.array([learn_laws(world.twins(references, seed)).auc for seed in range(4)])
    assert found.mean() == pytest.approx(true.mean(), abs=0.03)
    for auc in found:
        top = np.argsort(-auc)[:20]
        assert auc[top].mean() == pytest.approx(true[top].mean(), abs=0.1)
        assert true[top].mean() > true.mean() + 0.03


def test_where_nothing_leaks_people_hardly_look_exposed():
    world = World.of(600, 60, untouched=0.5)
    residuals, inside = world.references(16, 0)
    kept = world.untouched
    auc = learn_laws(Twins.of(residuals[:, kept], inside[:, kept], world.age[kept])).auc
    assert auc.mean() < 0.55
    assert np.sort(auc)[-10:].mean() < 0.65


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(10, 60), st.integers(2, 5), st.floats(-5, 5))
def test_laws_are_laws_whatever_the_numbers(seed, people, pairs, power):
    rng = np.random.default_rng(seed)
    inside = masks(2 * pairs, people // 2 * 2, rng)
    # From nearly equal models to models that fit whom they saw exactly.
    residuals = rng.normal(size=inside.shape[1]) + 10**power * rng.normal(size=inside.shape) * ~inside
    laws = learn_laws(Twins.of(residuals, inside, rng.uniform(20, 80, inside.shape[1])))
    assert (laws.variance_in > 0).all() and (laws.variance_out > 0).all()
    assert np.isfinite(laws.auc).all() and (laws.auc >= 0.5 - 1e-6).all() and (laws.auc <= 1).all()


def test_age_and_order_of_people_and_models_do_not_matter_where_they_should_not():
    world = World.of(60, 20)
    residuals, inside = world.references(8, 0)
    laws = learn_laws(Twins.of(residuals, inside, world.age))
    order = np.random.default_rng(0).permutation(60)
    shuffled = learn_laws(Twins.of(residuals[:, order], inside[:, order], world.age[order]))
    np.testing.assert_allclose(shuffled.auc, laws.auc[order])
    rows = [6, 7, 1, 0, 3, 2, 4, 5]
    np.testing.assert_allclose(learn_laws(Twins.of(residuals[rows], inside[rows], world.age)).auc, laws.auc)
    one_age = learn_laws(Twins.of(residuals, inside, np.full(60, 50.0)))
    assert np.isfinite(one_age.auc).all()


def test_one_person_far_off_does_not_decide_for_all():
    world = World.of(300, 60)
    residuals, inside = world.references(8, 0)
    plain = learn_laws(Twins.of(residuals, inside, world.age)).auc
    residuals[:, 5] += 60
    moved = learn_laws(Twins.of(residuals, inside, world.age)).auc
    others = np.arange(300) != 5
    assert np.abs(moved - plain)[others].mean() < 0.02


def test_people_without_enough_references_get_no_say():
    world = World.of(60, 20)
    residuals, inside = world.references(8, 0)
    inside[:, 7] = True
    inside[2:, 8] = False
    twins = Twins.of(residuals, inside, world.age)
    assert np.flatnonzero(~enough(twins)).tolist() == [7, 8]
    laws = learn_laws(twins)
    assert np.isfinite(laws.auc).all()
    with pytest.raises(TooFewSubjectsError, match=r"for 0 of 60 people.*train at least 4 references"):
        learn_laws(twins.take([0]))


def test_variances_are_moderated_as_far_as_chance_explains_them():
    rng = np.random.default_rng(0)
    kept = np.ones(4000, dtype=bool)
    equal = rng.chisquare(6, 4000)
    assert moderated(equal, np.full(4000, 6.0), kept).std() < 0.1
    true = np.exp(rng.normal(0, 1, 4000))
    found = moderated(true * equal, np.full(4000, 6.0), kept)
    alone = true * equal / 6
    assert np.abs(np.log(found / true)).mean() < 0.9 * np.abs(np.log(alone / true)).mean()
