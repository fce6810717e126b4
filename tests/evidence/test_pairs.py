"""What is said pair by pair, and places of people that make pairs comparable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from memberscan.errors import MisalignedError
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.intervals import auc_interval, balanced_accuracy_interval
from memberscan.evidence.multiple import holm
from memberscan.evidence.pairs import pair_results, placements, pooled_influences
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.roc import delong
from memberscan.evidence.scores import ASIDE, IN, OUT, Draw, Pair

from .simulated import among_parties, federate, simulate


def test_results_equal_those_of_each_pair_alone():
    (attack,), _ = federate(np.random.default_rng(0), [12, 9, 17], 15, shift=0.8)
    results = pair_results([attack], np.random.default_rng(1), permutations=99)
    assert [Pair(r.attacker, r.victim) for r in results] == list(attack.rows)
    p_values = [r.p_value for r in results if r.victim != "site 1"]
    corrected = iter(holm(np.array(p_values)))
    for result, values, sides, threshold in zip(
        results, attack.values, attack.sides, attack.thresholds, strict=True
    ):
        member = sides[sides != ASIDE] == IN
        assert (result.members, result.nonmembers) == (member.sum(), 15)
        if result.victim == "site 1":
            assert result.reason == "needs 10 members and 10 non-members scored; there are 9 and 15"
            assert result.auc is result.p_value is result.p_holm is None
            continue
        row = values[sides != ASIDE]
        auc, covariance = delong(row[None], member)
        assert result.auc == auc_interval(auc[0], np.sqrt(covariance[0, 0]), member.sum(), 15)
        said = row > threshold
        expected = balanced_accuracy_interval(said[member].mean(), (~said)[~member].mean(), member.sum(), 15)
        assert result.accuracy == expected
        assert result.p_holm == next(corrected)
        assert result.reason is None


def test_people_of_other_learners_and_unscored_ones_do_not_matter():
    (attack,), home = federate(np.random.default_rng(2), [12, 12, 12], 12, known=1)
    values = attack.values.copy()
    values[0, home == 2] = 1e9
    first = pair_results([replace(attack, values=values)], np.random.default_rng(0), permutations=9)[0]
    alone = attack.of_rows([0]).of_people((home == 1) | (home == -1))
    (expected,) = pair_results([alone], np.random.default_rng(0), permutations=9)
    assert (first.auc, first.accuracy, first.nonmembers) == (expected.auc, expected.accuracy, 11)


def test_pairs_without_scores_are_listed_with_a_reason():
    (attack,), _ = federate(np.random.default_rng(3), [12, 12], 12)
    values, sides = attack.values.copy(), attack.sides.copy()
    values[0], sides[0] = np.nan, ASIDE
    unseen, seen = pair_results([replace(attack, values=values, sides=sides)], np.random.default_rng(0))
    assert (unseen.victim, unseen.members, unseen.nonmembers, unseen.p_value) == ("site 1", 0, 0, None)
    assert unseen.reason == "needs 10 members and 10 non-members scored; there are 0 and 0"
    assert seen.p_value == seen.p_holm > 0
    # It makes no difference whether the people who could not be scored keep their sides.
    same, _ = pair_results([replace(attack, values=values)], np.random.default_rng(0))
    assert same == unseen


def test_draws_have_no_pairs():
    attacks, _ = simulate(np.random.default_rng(4), 12, 12)
    with pytest.raises(MisalignedError, match="has draws and no pairs"):
        pair_results(attacks[:1], np.random.default_rng(0))


def test_without_a_pair_large_enough_every_result_has_a_reason():
    home = np.repeat([0, 1, -1], [9, 9, 12])
    attack = among_parties(np.zeros((2, 2, 30)), home, attackers="ab", victims="ab")
    results = pair_results([attack], np.random.default_rng(0))
    assert [r.p_value for r in results] == [None, None]
    assert all(r.reason for r in results)


def test_holm_keeps_the_familywise_error_where_some_learners_leak_and_pairs_share_people():
    rng, repetitions, wrong, uncorrected, found = np.random.default_rng(5), 300, 0, 0, 0
    for _ in range(repetitions):
        (attack,), home = federate(rng, [12, 12, 12, 12], 14, shared=0.7)
        leaky = np.array([row.victim == "site 0" for row in attack.rows])
        values = attack.values + 3.0 * (home == 0) * leaky[:, None]
        results = pair_results([replace(attack, values=values)], rng, permutations=999)
        nulls = [r for r in results if r.victim != "site 0"]
        wrong += min(r.p_holm for r in nulls) <= 0.05
        uncorrected += min(r.p_value for r in nulls) <= 0.05
        found += all(r.p_holm <= 0.05 for r in results if r.victim == "site 0")
    assert stats.binomtest(wrong, repetitions, 0.05, "greater").pvalue > 1e-3
    assert uncorrected > 0.1 * repetitions
    assert found > 0.8 * repetitions


def test_pairs_are_corrected_over_all_attacks_at_once():
    attacks, _ = federate(np.random.default_rng(6), [12, 13, 9], 15, attacks=3, shift=0.7)
    results = pair_results(attacks, np.random.default_rng(0))
    assert [r.attack for r in results] == [a.attack for a in attacks for _ in a.rows]
    tested = [r for r in results if r.p_value is not None]
    assert len(tested) == 12
    np.testing.assert_array_equal([r.p_holm for r in tested], holm([r.p_value for r in tested]))
    assert min(r.p_value for r in tested) >= 1 / 10_000
    assert pair_results([], np.random.default_rng(0)) == ()


def test_the_smallest_corrected_p_value_stays_small_with_many_tests():
    home = np.repeat([*range(10), -1], 12)
    values = np.tile(np.where(home == -1, 0.0, 1.0) + np.linspace(0, 0.1, len(home)), (1, 10, 1))
    victims = [f"site {k}" for k in range(10)]
    attacks = [
        among_parties(values, home, attackers=["server"], victims=victims, attack=f"attack {k}")
        for k in range(9)
    ]
    assert max(r.p_holm for r in pair_results(attacks, np.random.default_rng(0))) <= 0.006


def test_pairs_of_the_attack_that_looks_strongest_are_wrong_no_more_often_than_promised():
    """A server attacks four victims, of whom one leaks; its six attacks agree in part."""
    rng, repetitions, wrong, by_attack = np.random.default_rng(7), 300, 0, 0
    names, home = [f"site {k}" for k in range(4)], np.repeat([0, 1, 2, 3, -1], [12, 12, 12, 12, 14])
    for _ in range(repetitions):
        person = rng.normal(size=len(home))
        values = np.sqrt(0.5) * (person + rng.normal(size=(6, 1, 4, len(home)))) + 3.0 * (home == 0)
        attacks = [
            among_parties(v, home, attackers=["server"], victims=names, attack=str(k))
            for k, v in enumerate(values)
        ]
        nulls = [r for r in pair_results(attacks, rng, permutations=1999) if r.victim != "site 0"]
        wrong += min(r.p_holm for r in nulls) <= 0.05
        # Corrected attack by attack, the attack whose pairs look best is wrong too often.
        each = [[r.p_value for r in nulls if r.attack == str(k)] for k in range(6)]
        by_attack += min(holm(p_values).min() for p_values in each) <= 0.05
    assert stats.binomtest(wrong, repetitions, 0.05, "greater").pvalue > 1e-3
    assert by_attack > 0.08 * repetitions


def test_placements_are_mean_places_among_the_held_out():
    (attack,), home = federate(np.random.default_rng(8), (12, 14, 3), 20, known=6, digits=1)
    found = placements(attack)
    assert found.rows == (Draw(0),) and found.fitted
    for s in range(len(home)):
        places = []
        for row, values, sides in zip(attack.rows, attack.values, attack.sides, strict=True):
            outside = values[sides == OUT]
            # The third has too few people to be compared.
            if row.victim != "site 2" and sides[s] != ASIDE:
                places.append(np.mean((outside < values[s]) + (outside == values[s]) / 2))
        expected = np.mean(places) if places else np.nan
        np.testing.assert_allclose(found.values[0, s], expected, atol=1e-12)
        side = ASIDE if not places else IN if home[s] >= 0 else OUT
        assert found.sides[0, s] == side
    assert np.nanmean(found.values[0, home == -1]) == pytest.approx(0.5)
    known = np.flatnonzero(home == -1)[:6]
    assert np.isnan(found.values[0, known]).all() and 0 <= found.thresholds[0] <= 1


def test_placements_rank_people_whatever_the_scale_of_each_pair():
    (attack,), _ = federate(np.random.default_rng(9), (12, 14), 20, shift=1.0)
    scale = np.exp(np.arange(2.0))
    stretched = replace(
        attack,
        values=attack.values * scale[:, None] + 7 * scale[:, None],
        thresholds=attack.thresholds * scale + 7 * scale,
    )
    one, other = placements(attack), placements(stretched)
    np.testing.assert_allclose(one.values, other.values, atol=1e-12)
    np.testing.assert_allclose(one.thresholds, other.thresholds)


def test_the_mean_over_pairs_adds_up_from_people_as_if_they_were_resampled():
    (attack,), _ = federate(np.random.default_rng(21), [60, 45, 80], 70, shift=0.9, known=3)
    value, influence = pooled_influences(attack)
    aucs, naive = [], np.zeros(attack.values.shape[1])
    for values, sides in zip(attack.values, attack.sides, strict=True):
        inside, outside = (np.flatnonzero((sides == side) & ~np.isnan(values)) for side in (IN, OUT))
        wins = (values[inside][:, None] > values[outside]).astype(float)
        aucs.append(wins.mean())
        for people, places in ((inside, wins.mean(axis=1)), (outside, wins.mean(axis=0))):
            naive[people] += (places - wins.mean()) / np.sqrt(len(people) * (len(people) - 1))
    assert value == pytest.approx(np.mean(aucs))
    compared = ~np.isnan(attack.values).all(axis=0)
    np.testing.assert_allclose(influence[compared], naive[compared] / len(aucs), atol=1e-12)
    assert np.isnan(influence[~compared]).all()
    influence = np.nan_to_num(influence)
    errors = Resampling.draw([attack], np.random.default_rng(0), resamples=2000)
    resampled = estimate_aucs([attack], errors)
    assert resampled.auc[0] == pytest.approx(value)
    assert np.sqrt((influence**2).sum()) == pytest.approx(resampled.standard_error[0], rel=0.1)


def test_small_pairs_and_those_not_attempted_do_not_count_in_the_mean():
    (attack,), home = federate(np.random.default_rng(22), [12, 14, 9], 12, shift=0.5)
    values, sides = attack.values.copy(), attack.sides.copy()
    values[0], sides[0] = np.nan, ASIDE
    found, influence = pooled_influences(replace(attack, values=values, sides=sides))
    large = [k for k, row in enumerate(attack.rows) if k and row.victim != "site 2"]
    expected, of_people = pooled_influences(attack.of_rows(large))
    assert found == expected
    np.testing.assert_array_equal(influence, of_people)
    assert np.isnan(influence[home == 2]).all() and not np.isnan(influence[home == -1]).any()
