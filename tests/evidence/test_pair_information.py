"""Information about pairs and the best accuracy: none where nothing leaks, and the truth of linear models."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.evidence.left_out import LeftOut, laws_without_each, leave_out
from memberscan.evidence.pair_information import best_accuracy, measure_pairs
from memberscan.evidence.twins import Twins
from memberscan.studies.exposure import World


def measured(twins: Twins):
    without = laws_without_each(twins)
    ratios = leave_out(twins, without)
    pairs = measure_pairs(twins, ratios, np.random.default_rng(0))
    return pairs, best_accuracy(twins, without, ratios, np.random.default_rng(1))


@pytest.mark.parametrize("references", [6, 16])
def test_where_nothing_leaks_there_is_no_information(references):
    world = World.of(600, 60, untouched=0.5)
    residuals, inside = world.references(references, 1)
    kept = world.untouched
    pairs, best = measured(Twins.of(residuals[:, kept], inside[:, kept], world.age[kept]))
    assert pairs is not None and pairs.pairs == 150
    assert abs(pairs.bits.value) < 0.02 and 0 < pairs.bias < 0.03
    assert best.attained.value == pytest.approx(0.5, abs=0.04)
    assert 0.5 <= best.best.value < 0.56


@pytest.mark.parametrize("features", [20, 120])
def test_linear_models_give_the_truth(features):
    world = World.of(300, features)
    true = world.truth()
    many = world.twins(400, 7)
    ratios = LeftOut(true.log_ratio(many.inside), true.log_ratio(many.outside))
    exact = measure_pairs(many, ratios, np.random.default_rng(0), masks=5)
    pairs, best = measured(world.twins(16, 0))
    assert exact is not None and pairs is not None
    # From below, and not by much.
    assert exact.bits.value - 0.06 < pairs.bits.value < exact.bits.value + 3 * (pairs.bits.error or 0)
    ceiling = 0.5 + true.total_variation.mean() / 2
    assert best.attained.value < ceiling + 3 * (best.attained.error or 0)
    assert best.attained.value == pytest.approx(ceiling, abs=0.03)
    assert best.best.value == pytest.approx(ceiling, abs=0.03)


def test_one_bit_is_known_where_answers_are_always_right():
    twins = World.of(40, 10).twins(8, 0)
    ones = np.ones(twins.told.shape)
    pairs = measure_pairs(twins, LeftOut(ones, -ones), np.random.default_rng(0))
    assert pairs is not None
    assert pairs.bits.value + pairs.bias == pytest.approx(1.0)
    assert pairs.bits.error == pytest.approx(0.0, abs=1e-9)


def test_nobody_with_a_partner_says_nothing():
    twins = World.of(40, 10).twins(8, 0)
    alone = Twins(twins.inside, twins.outside, twins.told, twins.label, np.full(40, -1))
    assert measure_pairs(alone, leave_out(alone, laws_without_each(alone)), np.random.default_rng(0)) is None
