"""Trials, against one that is made by hand for each model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.attacks.references.trials import Trials, standardised, thinned
from memberscan.attacks.with_references import Compared

from .conftest import draw


def test_each_reference_is_compared_with_the_others_without_its_twin():
    compared, _ = draw(0, references=6)
    together = Trials.of_references(compared)
    for k in range(6):
        alone = Trials.of_target(compared.with_target(k))
        np.testing.assert_array_equal(together.residual[k], alone.residual[0])
        for side in ("ins", "outs"):
            ours, theirs = getattr(together.moments, side), getattr(alone.moments, side)
            np.testing.assert_array_equal(ours.count[k], theirs.count[0])
            np.testing.assert_allclose(ours.mean[k], theirs.mean[0], atol=1e-9)
            np.testing.assert_allclose(ours.squares[k], theirs.squares[0], atol=1e-9)
            np.testing.assert_allclose(ours.pooled[k], theirs.pooled[0], atol=1e-9)


def test_the_number_of_references_that_saw_somebody_tells_nothing_of_the_one_in_the_target_s_place():
    compared, _ = draw(1, references=8)
    moments = Trials.of_references(compared).moments
    assert (moments.ins.count == 3).all() and (moments.outs.count == 3).all()


@pytest.mark.parametrize(("references", "most", "expected"), [(4, 8, 2), (16, 8, 8), (64, 8, 8), (4, 1, 1)])
def test_the_target_is_compared_with_as_many_references_as_each_of_them(references, most, expected):
    compared, _ = draw(2, references=references)
    target, others = (
        Trials.of_target_without_pairs(compared, most=most),
        Trials.of_references(compared),
    )
    assert target.residual.shape == (expected, 300)
    assert set(target.used.sum(axis=1)) == set(others.used.sum(axis=1)) == {references - 2}
    assert (target.residual == compared.residual).all()
    # Twins are left out together.
    assert (target.used[:, ::2] == target.used[:, 1::2]).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 50), st.floats(-20, 20), st.floats(-0.5, 0.5))
def test_normalisation_removes_offset_scale_and_trend_of_each_model(seed, scale, offset, slope):
    compared, _ = draw(seed % 1000, references=4, scans=40)
    moved = compared.residual * scale + offset
    tilted = moved + slope * scale * compared.label
    one, other, third = (
        Trials.of_target(Compared(r, compared.references, compared.inside, compared.label))
        for r in (compared.residual, moved, tilted)
    )
    np.testing.assert_allclose(other.centred.residual, one.centred.residual, atol=1e-8)
    np.testing.assert_allclose(third.detrended.residual, one.detrended.residual, atol=1e-8)


def test_a_model_that_predicts_one_age_for_everybody_has_no_residual_left():
    compared, _ = draw(3)
    constant = Compared(compared.label - 60.0, compared.references, compared.inside, compared.label)
    assert not Trials.of_target(constant).detrended.residual.any()
    level = Compared(np.full(300, 1 / 3), compared.references, compared.inside, compared.label)
    assert not Trials.of_target(level).centred.residual.any()


def test_thinned_scans_do_not_depend_on_the_order_of_scans():
    compared, _ = draw(4)
    order = np.random.default_rng(0).permutation(300)
    references, inside = compared.references[:, order], compared.inside[:, order]
    shuffled = Compared(compared.residual[order], references, inside, compared.label[order])
    for most, kept in ((1000, 300), (300, 300), (299, 150), (100, 100)):
        one, other = thinned(compared, most), thinned(shuffled, most)
        assert len(one.label) == kept and (np.diff(one.label) >= 0).all()
        np.testing.assert_array_equal(one.references, other.references)
        np.testing.assert_array_equal(one.inside, other.inside)
        np.testing.assert_array_equal(one.residual, other.residual)


def test_equal_values_are_standardised_to_zeros():
    assert not standardised(np.full(7, 61.3)).any()
    np.testing.assert_allclose(standardised(np.array([1.0, 3.0])), [-1, 1])
