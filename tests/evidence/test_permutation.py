from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from memberscan.attacks.null import DECIDING
from memberscan.errors import MisalignedError, TooFewSubjectsError
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.permutation import (
    normal_null,
    permutation_p_values,
    permuted_aucs,
    permuted_null,
)
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.roc import aucs_of_rows, delong
from memberscan.evidence.scores import OUT
from memberscan.evidence.verdict import SIGNIFICANCE

from .simulated import among_parties, federate, once, simulate


def test_p_values_count_the_greatest_statistic_of_each_permutation():
    attacks, _ = simulate(np.random.default_rng(0), 12, 14, shift=1.0, attacks=1)
    estimates = estimate_aucs(attacks, DeLong())
    rng = np.random.default_rng(1)
    null = rng.normal(0.5, [0.05, 0.2], size=(99, 2))
    check = permuted_null(estimates, null)
    every = np.vstack([estimates.auc, null])
    t = (every - every.mean(axis=0)) / every.std(axis=0)
    naive = [(1 + sum(max(row) >= t[0, k] for row in t[1:])) / 100 for k in range(2)]
    np.testing.assert_allclose(check.p_values, naive)
    assert check.permutations == 99


def test_p_values_are_never_zero_and_constant_attacks_get_one():
    attacks, _ = simulate(np.random.default_rng(0), 12, 12, attacks=1)
    estimates = estimate_aucs(attacks, DeLong())
    null = np.column_stack([np.full(199, 0.01), np.full(199, estimates.auc[1])])
    check = permuted_null(estimates, null)
    assert check.p_values[0] == pytest.approx(1 / 200)
    assert check.p_values[1] == 1.0


@pytest.mark.parametrize("shape", [(99,), (99, 3)])
def test_null_of_another_shape_is_refused(shape):
    attacks, _ = simulate(np.random.default_rng(0), 12, 12, attacks=1)
    with pytest.raises(MisalignedError, match="2 attacks"):
        permuted_null(estimate_aucs(attacks, DeLong()), np.zeros(shape))


def test_permutation_p_values_hold_their_level_over_all_attacks():
    rng, repetitions, rejected = np.random.default_rng(2), 300, 0
    for _ in range(repetitions):
        attacks, member = simulate(rng, 11, 13, attacks=0)
        noise = rng.normal(size=(3, 24))
        attacks = [attacks[0]] + [once(f"noise {k}", row, member) for k, row in enumerate(noise)]
        scores = np.vstack([a.values for a in attacks])
        labels = rng.permuted(np.tile(member.astype(float), (99, 1)), axis=1)
        null = np.column_stack([aucs_of_rows(np.tile(row, (99, 1)), labels) for row in scores])
        rejected += permuted_null(estimate_aucs(attacks, DeLong()), null).p_values.min() <= 0.05
    assert stats.binomtest(rejected, repetitions, 0.05, "greater").pvalue > 1e-3


@pytest.mark.parametrize(("permutations", "size"), [(199, 1 / 200), (DECIDING, 10 / 1001)])
def test_size_of_the_deciding_test_is_exact(permutations, size):
    """Under the null each of the exchangeable rows is the observed one with the same probability."""
    attacks, _ = simulate(np.random.default_rng(0), 12, 14, attacks=2)
    estimates = estimate_aucs(attacks, DeLong())
    rows = np.random.default_rng(1).normal(0.5, [0.05, 0.2, 0.1], size=(permutations + 1, 3))
    rejected = [
        permuted_null(replace(estimates, auc=row), np.delete(rows, k, axis=0)).p_values.min() < SIGNIFICANCE
        for k, row in enumerate(rows)
    ]
    assert np.mean(rejected) == pytest.approx(size)
    assert size <= SIGNIFICANCE


def test_closed_form_agrees_with_permutation_in_large_samples():
    rng = np.random.default_rng(3)
    attacks, member = simulate(rng, 500, 520, shift=0.13, attacks=0)
    estimates = estimate_aucs(attacks, DeLong())
    null = np.stack([delong(attacks[0].values, rng.permutation(member))[0] for _ in range(999)])
    closed = normal_null(estimates)
    assert closed.p_values[0] == pytest.approx(permuted_null(estimates, null).p_values[0], abs=0.02)
    assert closed.p_values[0] == pytest.approx(
        stats.norm.sf((estimates.auc[0] - 0.5) / closed.null_spread[0]), abs=0.01
    )
    assert closed.permutations is None


def test_closed_form_lies_between_one_attack_and_bonferroni_and_reaches_far():
    attacks, _ = simulate(np.random.default_rng(4), 600, 600, shift=0.1, attacks=3)
    estimates = estimate_aucs(attacks, DeLong())
    check = normal_null(estimates)
    alone = stats.norm.sf((estimates.auc - 0.5) / check.null_spread)
    assert (check.p_values >= 0.9 * alone).all()
    assert (check.p_values <= np.minimum(1, 4 * alone)).all()
    attacks, _ = simulate(np.random.default_rng(4), 600, 600, shift=2.0, attacks=3)
    assert normal_null(estimate_aucs(attacks, DeLong())).p_values[0] < 1e-20


def test_permuted_aucs_equal_those_of_permuted_homes():
    attacks, home = federate(np.random.default_rng(14), [14, 16, 9], 15, shift=0.5, attacks=2)
    attacks[1] = replace(attacks[1], values=np.round(attacks[1].values))
    null = permuted_aucs(attacks, np.random.default_rng(15), 3)
    compared = np.concatenate([np.flatnonzero(home == side) for side in (0, 1, -1)])
    homes = np.random.default_rng(15).permuted(np.tile(home[compared, None], (1, 3)), axis=0)
    for found, column in zip(null, homes.T, strict=True):
        permuted = home.copy()
        permuted[compared] = column
        for value, attack in zip(found, attacks, strict=True):
            aucs = []
            for row, values in zip(attack.rows, attack.values, strict=True):
                if row.victim == "site 2":  # too few people
                    continue
                inside, outside = (values[permuted == side] for side in (int(row.victim[-1]), -1))
                wins = np.sign(inside[:, None] - outside)
                aucs.append(np.mean((wins[~np.isnan(wins)] + 1) / 2))
            assert value == pytest.approx(np.mean(aucs))


def test_attacks_whose_people_cannot_be_permuted_are_refused():
    attacks, _ = federate(np.random.default_rng(11), [12, 12], 12, attacks=2)
    nobody = [replace(a, sides=np.where(a.sides == OUT, -1, a.sides)) for a in attacks]
    with pytest.raises(TooFewSubjectsError, match="hold out more"):
        permuted_aucs(nobody, np.random.default_rng(0), 9)


def test_permutations_hold_their_level_over_attacks_that_share_people():
    rng, repetitions, rejected = np.random.default_rng(16), 300, 0
    for _ in range(repetitions):
        attacks, _ = federate(rng, [10] * 4, 12, shared=0.8, attacks=2)
        estimates = estimate_aucs(attacks, Resampling.draw(attacks, rng, resamples=2))
        rejected += permuted_null(estimates, permuted_aucs(attacks, rng, 99)).p_values.min() <= 0.05
    assert stats.binomtest(rejected, repetitions, 0.05, "greater").pvalue > 1e-3


def test_permutations_are_exact_for_a_server_and_see_a_leak():
    rng, repetitions, home = np.random.default_rng(17), 300, np.repeat([0, 1, -1], [12, 15, 14])
    rejected = {0.0: 0, 1.5: 0}
    for shift in rejected:
        for _ in range(repetitions):
            person = rng.normal(size=len(home))
            own = home == np.arange(2)[:, None]
            values = (person + rng.normal(size=(2, len(home))) + shift * own)[None]
            attack = among_parties(values, home, attackers=["server"], victims=["a", "b"])
            estimates = estimate_aucs([attack], Resampling.draw([attack], rng, resamples=2))
            null = permuted_null(estimates, permuted_aucs([attack], rng, 99))
            rejected[shift] += null.p_values[0] <= 0.05
    assert stats.binomtest(rejected[0.0], repetitions, 0.05).pvalue > 1e-3
    assert rejected[1.5] > 0.7 * repetitions


def test_a_model_s_unfitted_attack_is_permuted_like_any_other():
    attacks, member = simulate(np.random.default_rng(20), 15, 18, attacks=0)
    null = permuted_aucs(attacks, np.random.default_rng(21), 999)
    direct = [delong(attacks[0].values, np.random.default_rng(k).permutation(member))[0] for k in range(999)]
    assert null.mean() == pytest.approx(0.5, abs=0.015)
    assert null.std() == pytest.approx(np.std(direct), rel=0.1)


def test_p_values_agree_with_scipy_and_the_exact_distribution():
    rng = np.random.default_rng(3)
    samples = [(rng.normal(0.4, 1, 12), rng.normal(size=14)) for _ in range(3)]
    exact = [stats.mannwhitneyu(*sides, alternative="greater", method="exact").pvalue for sides in samples]
    np.testing.assert_allclose(permutation_p_values(samples, rng, 9999), exact, atol=0.015)
    tied = [(rng.integers(0, 3, 11).astype(float), rng.integers(0, 3, 10).astype(float)) for _ in range(3)]
    for (inside, outside), p in zip(tied, permutation_p_values(tied, rng, 3999), strict=True):
        expected = stats.permutation_test(
            (inside, outside),
            lambda x, y: stats.mannwhitneyu(x, y, method="asymptotic").statistic,
            permutation_type="independent",
            alternative="greater",
            n_resamples=999,
            rng=rng,
        ).pvalue
        assert p == pytest.approx(expected, abs=0.06)


def test_p_values_are_never_zero_and_count_ties_against_the_attack():
    high, low = np.arange(20.0, 35), np.arange(12.0)
    perfect, constant_, reversed_ = permutation_p_values(
        [(high, low), (np.zeros(15), np.zeros(12)), (-high, -low)], np.random.default_rng(0), 999
    )
    assert perfect == 1 / 1000
    assert constant_ == reversed_ == 1.0


@settings(max_examples=20, deadline=None)
@given(st.integers(10, 25), st.integers(10, 25), st.integers(1, 1100))
def test_p_values_lie_on_their_grid_however_many_permutations(members, nonmembers, permutations):
    rng = np.random.default_rng([members, nonmembers])
    (p,) = permutation_p_values([(rng.normal(size=members), rng.normal(size=nonmembers))], rng, permutations)
    assert p * (permutations + 1) == pytest.approx(round(p * (permutations + 1)))
    assert 0 < p <= 1


@pytest.mark.parametrize("levels", [None, 3])
def test_the_permutation_test_of_a_pair_is_exact(levels):
    rng, repetitions = np.random.default_rng(4), 2000
    draws = (
        rng.normal(size=(repetitions, 26)) if levels is None else rng.integers(0, levels, (repetitions, 26))
    )
    p_values = np.concatenate(
        [permutation_p_values([(row[:11], row[11:])], rng, 19) for row in draws.astype(float)]
    )
    for level in (0.05, 0.25):
        rejected = int((p_values <= level + 1e-9).sum())
        assert stats.binomtest(rejected, repetitions, level, "greater").pvalue > 1e-3
        if levels is None:
            assert stats.binomtest(rejected, repetitions, level, "less").pvalue > 1e-3
