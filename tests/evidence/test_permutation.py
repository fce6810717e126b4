from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from memberscan.errors import MisalignedError
from memberscan.evidence.joint import joint
from memberscan.evidence.permutation import normal_null, permuted_null
from memberscan.evidence.roc import aucs_of_rows, delong


def test_p_values_count_the_greatest_statistic_of_each_permutation(simulate):
    attacks, member = simulate(np.random.default_rng(0), 12, 14, shift=1.0, fitted=1)
    estimates = joint(attacks, member)
    rng = np.random.default_rng(1)
    null = rng.normal(0.5, [0.05, 0.2], size=(99, 2))
    check = permuted_null(estimates, null)
    every = np.vstack([estimates.auc, null])
    t = (every - every.mean(axis=0)) / every.std(axis=0)
    naive = [(1 + sum(max(row) >= t[0, k] for row in t[1:])) / 100 for k in range(2)]
    np.testing.assert_allclose(check.p_values, naive)
    assert json.loads(json.dumps(check.to_dict()))["method"] == "permutation"


def test_p_values_are_never_zero_and_constant_attacks_get_one(simulate):
    attacks, member = simulate(np.random.default_rng(0), 12, 12, fitted=1)
    estimates = joint(attacks, member)
    null = np.column_stack([np.full(199, 0.01), np.full(199, estimates.auc[1])])
    check = permuted_null(estimates, null)
    assert check.p_values[0] == pytest.approx(1 / 200)
    assert check.p_values[1] == 1.0


@pytest.mark.parametrize("shape", [(99,), (99, 3)])
def test_null_of_another_shape_is_refused(simulate, shape):
    attacks, member = simulate(np.random.default_rng(0), 12, 12, fitted=1)
    with pytest.raises(MisalignedError, match="2 attacks"):
        permuted_null(joint(attacks, member), np.zeros(shape))


def test_permutation_p_values_hold_their_level_over_all_attacks(simulate):
    rng, repetitions, rejected = np.random.default_rng(2), 300, 0
    for _ in range(repetitions):
        attacks, member = simulate(rng, 11, 13, fitted=0)
        noise = rng.normal(size=(3, 24))
        attacks = [attacks[0]] + [
            type(attacks[0])(f"noise {k}", False, row[None], np.zeros(1)) for k, row in enumerate(noise)
        ]
        scores = np.vstack([a.scores for a in attacks])
        labels = rng.permuted(np.tile(member.astype(float), (99, 1)), axis=1)
        null = np.column_stack([aucs_of_rows(np.tile(row, (99, 1)), labels) for row in scores])
        rejected += permuted_null(joint(attacks, member), null).p_values.min() <= 0.05
    assert stats.binomtest(rejected, repetitions, 0.05, "greater").pvalue > 1e-3


def test_closed_form_agrees_with_permutation_in_large_samples(simulate):
    rng = np.random.default_rng(3)
    attacks, member = simulate(rng, 500, 520, shift=0.13, fitted=0)
    estimates = joint(attacks, member)
    null = np.stack([delong(attacks[0].scores, rng.permutation(member))[0] for _ in range(999)])
    closed = normal_null(estimates)
    assert closed.p_values[0] == pytest.approx(permuted_null(estimates, null).p_values[0], abs=0.02)
    assert closed.p_values[0] == pytest.approx(
        stats.norm.sf((estimates.auc[0] - 0.5) / closed.null_spread[0]), abs=0.01
    )
    assert closed.to_dict()["permutations"] is None


def test_closed_form_lies_between_one_attack_and_bonferroni_and_reaches_far(simulate):
    attacks, member = simulate(np.random.default_rng(4), 600, 600, shift=0.1, fitted=3)
    estimates = joint(attacks, member)
    check = normal_null(estimates)
    alone = stats.norm.sf((estimates.auc - 0.5) / check.null_spread)
    assert (check.p_values >= 0.9 * alone).all()
    assert (check.p_values <= np.minimum(1, 4 * alone)).all()
    attacks, member = simulate(np.random.default_rng(4), 600, 600, shift=2.0, fitted=3)
    assert normal_null(joint(attacks, member)).p_values[0] < 1e-20
