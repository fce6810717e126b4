"""Attacks on updates: each against loops over its definition, and what all of them promise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from memberscan.attacks import UPDATE_ATTACKS, UpdateAttack, named
from memberscan.attacks.updates import (
    AllForOne,
    GradientCosine,
    GradientDifference,
    LeastSquares,
    LossSeries,
    cosines,
    local_error,
    mean_over_rounds,
)
from memberscan.signals.updates import Updates
from memberscan.threat import Access

from .conftest import SimulateUpdates

every_attack = pytest.mark.parametrize("attack", UPDATE_ATTACKS.values(), ids=lambda attack: attack.name)
alone = pytest.mark.parametrize(
    "attack",
    [a for a in UPDATE_ATTACKS.values() if not a.needs.others],
    ids=lambda attack: attack.name,
)


def gradient_of(updates: Updates, t: int, n: int) -> np.ndarray:
    """Return a scan's loss gradient; the simulation's sketches are its Jacobians, whole."""
    r = updates.scans["age"].iloc[n] - updates.before[t, n]
    return -2 * r * updates.sketches[t][n]


def cosine(updates: Updates, t: int, n: int, c: int) -> float:
    g, d = gradient_of(updates, t, n), updates.descent_sketches[t, c]
    return float(g @ d / (np.linalg.norm(g) * np.linalg.norm(d)))


def error(updates: Updates, t: int, n: int, c: int) -> float:
    return -abs(updates.scans["age"].iloc[n] - updates.local[t, n, c])


def loops(updates: Updates, score: Callable[[Updates, int, int, int], float]) -> np.ndarray:
    """Return what a definition gives of each round, scan and learner that took part."""
    found = np.full((len(updates.rounds), len(updates.scans), len(updates.learners)), np.nan)
    for t, c in np.argwhere(updates.took_part):
        for n in range(len(updates.scans)):
            found[t, n, c] = score(updates, t, n, c)
    return found


ABSENT = [(0, 1), (2, 0), (2, 4)]


def test_the_cosine_is_that_of_two_vectors(federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(0), absent=ABSENT)
    attack = GradientCosine("x", "x")
    np.testing.assert_allclose(attack.by_round(updates), loops(updates, cosine), atol=1e-12)


def test_the_local_error_is_that_of_the_learner_s_own_model(federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(1), absent=ABSENT)
    np.testing.assert_allclose(LossSeries("x", "x").by_round(updates), loops(updates, error), atol=1e-12)


def test_the_difference_is_that_of_two_squared_lengths(federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(2), absent=ABSENT)
    n = len(updates.scans)

    def shorter(updates: Updates, t: int, scan: int, c: int) -> float:
        g, d = gradient_of(updates, t, scan), updates.descent_sketches[t, c]
        typical = np.median([np.linalg.norm(gradient_of(updates, t, k)) for k in range(n)])
        a = np.linalg.norm(d) / (typical * math.sqrt(n / len(updates.learners)))
        return float((d @ d - (d - a * g) @ (d - a * g)) / (d @ d))

    found = GradientDifference("x", "x").by_round(updates)
    np.testing.assert_allclose(found, loops(updates, shorter), atol=1e-10)


@pytest.mark.parametrize(("measure", "own"), [(cosines, cosine), (local_error, error)])
def test_all_for_one_without_a_prior_is_the_published_formula(measure, own, federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(3), absent=ABSENT)

    def phi(updates: Updates, t: int, n: int, c: int) -> float:
        others = [own(updates, t, n, o) for o in np.flatnonzero(updates.took_part[t]) if o != c]
        z = (own(updates, t, n, c) - np.mean(others)) / np.std(others, ddof=1)
        return 0.5 * (1 + math.erf(z / math.sqrt(2)))

    attack = AllForOne("x", "x", measure=measure, prior=0.0)
    expected = loops(updates, phi)
    np.testing.assert_allclose(attack.by_round(updates), expected, atol=1e-9)
    np.testing.assert_allclose(attack.score(updates), np.nanmean(expected, axis=0), atol=1e-9)


def test_a_prior_draws_every_spread_to_the_mean_of_all(federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(4))
    measured = cosines(updates)[0]
    spread = np.sqrt(np.var(measured[:, 1:], axis=1, ddof=1).mean())
    far = AllForOne("x", "x", prior=1e9).by_round(updates)[0, :, 0]
    expected = stats.norm.cdf((measured[:, 0] - measured[:, 1:].mean(axis=1)) / spread)
    np.testing.assert_allclose(far, expected, atol=1e-6)


def test_least_squares_is_ridge_regression_of_the_descent(federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(5), each=4, held_out=6, absent=ABSENT)
    found = LeastSquares("x", "x", ridge=0.1).by_round(updates)
    for t, c in np.argwhere(updates.took_part):
        j, d = updates.sketches[t], updates.descent_sketches[t, c]
        penalty = 0.1 * np.mean([row @ row for row in j])
        # The coefficients that minimise |D - J'c|^2 + penalty |c|^2, by an augmented system.
        tall = np.vstack([j.T, np.sqrt(penalty) * np.eye(len(j))])
        shares = np.linalg.lstsq(tall, np.concatenate([d, np.zeros(len(j))]), rcond=None)[0]
        errors = np.sqrt(np.diag(np.linalg.inv(tall.T @ tall)))
        sign = np.sign(updates.scans["age"].to_numpy() - updates.before[t])
        score = -sign * shares / errors
        np.testing.assert_allclose(found[t, :, c], score / score.std(), atol=1e-9)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), ~updates.took_part)


def test_least_squares_finds_the_members_of_one_plain_step_exactly(federate: SimulateUpdates):
    updates, home = federate(np.random.default_rng(6), noise=0.0, rounds=1, width=200)
    scores = LeastSquares("x", "x", ridge=1e-10).score(updates)
    for c in range(5):
        inside, outside = scores[home == c, c], scores[home != c, c]
        assert np.abs(outside).max() < 1e-6 * inside.max()
        assert inside.min() > np.abs(outside).max()
    default = UPDATE_ATTACKS["least-squares"].score(updates)
    assert all(default[home == c, c].mean() > 5 * default[home != c, c].mean() for c in range(5))


def auc(inside: np.ndarray, outside: np.ndarray) -> float:
    return float(stats.mannwhitneyu(inside, outside).statistic / (len(inside) * len(outside)))


@every_attack
def test_a_planted_leak_is_found(attack: UpdateAttack, federate: SimulateUpdates):
    updates, home = federate(np.random.default_rng(7), learners=6)
    scores = attack.score(updates)
    assert np.mean([auc(scores[home == c, c], scores[home == -1, c]) for c in range(6)]) > 0.65


@every_attack
def test_updates_that_owe_nothing_to_anybody_give_an_auc_of_a_half(
    attack: UpdateAttack, federate: SimulateUpdates
):
    found = []
    for seed in range(60):
        updates, home = federate(np.random.default_rng(seed), leak=0.0, noise=1.0)
        scores = attack.score(updates)
        found.append(np.mean([auc(scores[home == c, c], scores[home == -1, c]) for c in range(5)]))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.015
    assert abs(np.mean(found) - 0.5) < 4 * error


def reordered(updates: Updates, scans: np.ndarray, learners: np.ndarray) -> Updates:
    return dataclasses.replace(
        updates,
        scans=updates.scans.iloc[scans],
        learners=tuple(updates.learners[c] for c in learners),
        took_part=updates.took_part[:, learners],
        before=updates.before[:, scans],
        local=updates.local[:, scans][:, :, learners],
        products=updates.products[:, scans][:, :, learners],
        norms=updates.norms[:, scans],
        descent_norms=updates.descent_norms[:, learners],
        sketches=[sketch[scans] for sketch in updates.sketches],
        descent_sketches=updates.descent_sketches[:, learners],
    )


@every_attack
def test_neither_the_order_of_scans_nor_that_of_learners_matters(
    attack: UpdateAttack, federate: SimulateUpdates
):
    updates, _ = federate(np.random.default_rng(8), absent=ABSENT)
    rng = np.random.default_rng(9)
    scans, learners = rng.permutation(len(updates.scans)), rng.permutation(5)
    moved = attack.score(reordered(updates, scans, learners))
    np.testing.assert_allclose(moved, attack.score(updates)[scans][:, learners], atol=1e-9)


@every_attack
def test_residuals_of_zero_and_models_that_do_not_move_tell_nothing(
    attack: UpdateAttack, federate: SimulateUpdates
):
    updates, _ = federate(np.random.default_rng(10), leak=0.0, noise=0.0)
    age = updates.scans["age"].to_numpy()
    perfect = dataclasses.replace(
        updates,
        before=np.tile(age, (3, 1)),
        local=np.tile(age[:, None], (3, 1, 5)),
        products=np.zeros_like(updates.products),
        norms=np.zeros_like(updates.norms),
        sketches=[np.zeros_like(sketch) for sketch in updates.sketches],
    )
    for nothing in (perfect, dataclasses.replace(perfect, norms=updates.norms, sketches=updates.sketches)):
        scores = attack.score(nothing)
        if attack.name.endswith("error"):  # what the learners' models predict is seen all the same
            assert np.isfinite(scores).all() and np.ptp(scores) == 0
        else:
            assert np.isnan(scores).all()


@every_attack
def test_a_model_that_did_not_change_is_no_update(attack: UpdateAttack, federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(10))
    still = dataclasses.replace(
        updates,
        **{
            name: np.where(np.arange(5).reshape(shape) == 3, 0, getattr(updates, name))
            for name, shape in (
                ("products", (1, 1, 5, 1)),
                ("descent_norms", (1, 5, 1)),
                ("descent_sketches", (1, 5, 1)),
            )
        },
    )
    scores = attack.score(still)
    assert np.isnan(scores[:, 3]).all() != attack.name.endswith("error")
    assert np.isfinite(np.delete(scores, 3, axis=1)).all()
    if attack.name == "fedmia:cosine":  # nor is it one of the others that a learner is compared with
        others = np.array([0, 1, 2, 4])
        without = attack.score(reordered(updates, np.arange(len(updates.scans)), others))
        np.testing.assert_allclose(scores[:, others], without)


@every_attack
def test_a_scan_without_a_gradient_of_its_own_is_scored_among_the_others(
    attack: UpdateAttack, federate: SimulateUpdates
):
    updates, _ = federate(np.random.default_rng(10))
    exact = updates.before.copy()
    exact[:, 7] = updates.scans["age"].iloc[7]
    assert np.isfinite(attack.score(dataclasses.replace(updates, before=exact))).all()


@every_attack
def test_a_learner_that_is_never_there_is_said_nothing_of(attack: UpdateAttack, federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(11), absent=[(t, 2) for t in range(3)])
    assert np.isnan(attack.by_round(updates)[:, :, 2]).all()
    scores = attack.score(updates)
    assert np.isnan(scores[:, 2]).all()
    assert np.ptp(scores[:, [0, 1, 3, 4]], axis=0).min() > 0
    others = np.array([0, 1, 3, 4])
    without = attack.by_round(reordered(updates, np.arange(len(updates.scans)), others))
    if attack.name != "gradient-difference":  # its step is set by how many learners there are
        np.testing.assert_allclose(mean_over_rounds(without), scores[:, others], atol=1e-9)


@pytest.mark.parametrize("learners", [1, 2])
@every_attack
def test_one_or_two_learners_are_enough_unless_others_are_compared_with(
    attack: UpdateAttack, learners: int, federate: SimulateUpdates
):
    updates, home = federate(np.random.default_rng(12), learners=learners, each=30)
    scores = attack.score(updates)
    if attack.needs.others:
        assert np.isnan(scores).all()
    else:
        assert auc(scores[home == 0, 0], scores[home == -1, 0]) > 0.65


@every_attack
def test_a_round_is_scored_by_itself(attack: UpdateAttack, federate: SimulateUpdates):
    updates, _ = federate(np.random.default_rng(13))
    last = dataclasses.replace(
        updates,
        rounds=(3,),
        **{
            name: getattr(updates, name)[2:]
            for name in (
                *("took_part", "before", "local", "products", "norms"),
                *("descent_norms", "sketches", "descent_sketches"),
            )
        },
    )
    np.testing.assert_allclose(attack.by_round(last)[0], attack.by_round(updates)[2], atol=1e-12)


@every_attack
def test_it_is_a_frozen_value_that_knows_nobody(attack: UpdateAttack):
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.name = "other"  # type: ignore[misc]
    assert named(attack.name) is attack
    assert attack.needs.access is Access.UPDATES and not attack.needs.leaked
    assert attack.title[0].islower() and not attack.title.endswith(".")


def test_the_mean_leaves_out_rounds_that_tell_nothing():
    values = np.array([[[1.0, np.nan]], [[np.nan, np.nan]], [[4.0, np.nan]]])
    np.testing.assert_array_equal(mean_over_rounds(values), [[2.5, np.nan]])
