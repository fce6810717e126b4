"""Twins judged by all the others."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.evidence.left_out import (
    jackknife_error,
    laws_without_each,
    leave_out,
    mean_over_twins,
    share_of_right,
)
from memberscan.evidence.twins import Twins
from memberscan.studies.exposure import World


def test_each_twin_is_judged_by_laws_that_did_not_see_it():
    twins = World.of(60, 30).twins(8, 0)
    without = laws_without_each(twins)
    ratios = leave_out(twins, without)
    assert len(without) == 4
    np.testing.assert_allclose(ratios.inside[2], without[2].log_ratio(twins.inside[2][None])[0])
    right = ((ratios.inside > 0).astype(float) + (ratios.outside < 0)) / 2
    np.testing.assert_array_equal(ratios.balanced, right)


def test_where_nothing_leaks_answers_are_right_half_of_the_time():
    world = World.of(400, 60, untouched=0.5)
    residuals, inside = world.references(12, 0)
    kept = world.untouched
    twins = Twins.of(residuals[:, kept], inside[:, kept], world.age[kept])
    found = mean_over_twins(leave_out(twins, laws_without_each(twins)).balanced)
    assert found.error is not None and abs(found.value - 0.5) < 4 * found.error


def test_too_few_twins_cannot_be_left_out():
    twins = World.of(60, 30).twins(4, 0)
    assert laws_without_each(twins) == []
    assert np.isnan(leave_out(twins, []).balanced).all()


def test_a_mean_has_the_usual_error_of_a_mean_and_skips_what_is_missing():
    values = np.random.default_rng(0).normal(size=(6, 5))
    by_twin = values.mean(axis=1)
    found = mean_over_twins(values)
    assert found.value == pytest.approx(by_twin.mean())
    assert found.error == pytest.approx(by_twin.std(ddof=1) / np.sqrt(6))
    values[0], values[1, 2:] = np.nan, np.nan
    assert mean_over_twins(values).value == pytest.approx(np.mean([values[1, :2].mean(), *by_twin[2:]]))
    assert jackknife_error(np.ones(2)) is None


def test_even_if_all_answers_are_right_there_is_an_error():
    found = share_of_right(np.ones((8, 10)))
    assert found.error == pytest.approx(np.sqrt(162 / 164 * 2 / 164 / 164))
    mixed = np.random.default_rng(0).integers(0, 2, (8, 4)).astype(float)
    assert share_of_right(mixed).error >= mean_over_twins(mixed).error > 0
    assert share_of_right(np.ones((2, 10))).error is None
