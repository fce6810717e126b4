"""The learner against scikit-learn and loops that do what the formulas say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from memberscan.attacks.attack import Features, KnownScans
from memberscan.attacks.learned import LearnedAttack
from memberscan.attacks.learner import _PENALTIES, coordinates, joined, ridge, standardise

columns = hnp.arrays(
    float,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 3)),
)


def features(values: np.ndarray) -> Features:
    return Features(pd.Index([f"scan {n}" for n in range(len(values))]), values)


def ridge_by_loop(x: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return the scores of the ridge classifier whose leave-one-out error, by leaving one out, is least."""
    y = np.where(member, 1.0, -1.0)
    weight = np.where(member, 0.5 / member.mean(), 0.5 / (~member).mean())
    centred = x - np.average(x, axis=0, weights=weight)
    total = float((weight[:, None] * centred**2).sum())

    def fit(rows: np.ndarray, penalty: float) -> Ridge:
        return Ridge(alpha=penalty, solver="svd").fit(x[rows], y[rows], sample_weight=weight[rows])

    everyone = np.arange(len(y))
    errors = []
    for penalty in _PENALTIES * total:
        left_out = [y[i] - fit(everyone[everyone != i], penalty).predict(x[i : i + 1])[0] for i in everyone]
        errors.append(np.mean(weight * np.square(left_out)))
    return np.asarray(fit(everyone, _PENALTIES[int(np.argmin(errors))] * total).predict(x))


@pytest.mark.parametrize(("members", "others", "width"), [(7, 13, 3), (12, 9, 30), (10, 10, 10), (3, 20, 1)])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_ridge_equals_leaving_one_out_by_hand(members, others, width, shift):
    rng = np.random.default_rng([members, width])
    member = np.arange(members + others) < members
    x = rng.normal(size=(len(member), width)) * rng.uniform(0.5, 2, width) + 3
    x[:, 0] += shift * member
    np.testing.assert_allclose(
        ridge(features(x), member).score(features(x)), ridge_by_loop(x, member), atol=1e-7
    )


@pytest.mark.parametrize("width", [1, 4, 40])
def test_many_fits_at_once_are_those_of_one_after_the_other(width):
    rng = np.random.default_rng(width)
    attack = LearnedAttack("many", "columns", blocks=())
    seen = features(rng.normal(size=(23, width)))
    known = []
    for count in (2, 9, 9, 16, 5):
        places = rng.permutation(23)[:count]
        known.append(KnownScans(places, np.arange(count) % 2 == 0))
    found = list(attack.score_each(seen, known))
    for scores, each in zip(found, known, strict=True):
        alone = ridge(seen.rows(each.places), each.member)
        np.testing.assert_allclose(scores, alone.score(seen), rtol=1e-9, atol=1e-12)


def directions_by_loop(x: np.ndarray, member: np.ndarray) -> float:
    """Count the axes along which the ridge classifier does not shrink, from its scores alone."""
    weight = np.where(member, 0.5 / member.mean(), 0.5 / (~member).mean())
    centred = (x - np.average(x, axis=0, weights=weight)) * np.sqrt(weight)[:, None]
    total, rule = float((centred**2).sum()), ridge(features(x), member)
    y = np.sqrt(weight) * np.where(member, 1.0, -1.0)
    by_penalty = [
        np.linalg.solve(centred.T @ centred + p * total * np.eye(x.shape[1]), centred.T @ y)
        for p in _PENALTIES
    ]
    chosen = int(np.argmin([np.abs(found - rule.weights).max() for found in by_penalty]))
    energy = np.linalg.eigvalsh(centred.T @ centred)
    shares = [(e / (e + _PENALTIES[chosen] * total)) ** 2 for e in energy]
    return float(sum(shares) ** 2 / sum(share**2 for share in shares))


@pytest.mark.parametrize("width", [1, 3, 6])
def test_directions_are_counted_as_by_hand(width: int):
    rng = np.random.default_rng(width)
    member = np.arange(30) % 2 == 0
    x = rng.normal(size=(30, width)) * 3.0 ** -np.arange(width)
    x[:, -1] += 3.0 ** (1 - width) * member
    known = [KnownScans(np.arange(30), member)]
    found = LearnedAttack("few", "columns", blocks=()).directions(features(x), known)
    assert found == pytest.approx(directions_by_loop(x, member))
    assert 1 - 1e-9 <= found <= width + 1e-9


def test_a_wide_attack_does_not_count_its_directions():
    attack = LearnedAttack("wide", "columns", blocks=())
    known = [KnownScans(np.arange(9), np.arange(9) % 2 == 0)]
    assert attack.directions(features(np.random.default_rng(0).normal(size=(9, 31))), known) == np.inf


def test_ridge_says_nothing_where_features_say_nothing():
    rule = ridge(features(np.ones((6, 4))), np.array([1, 1, 0, 0, 0, 0], dtype=bool))
    np.testing.assert_allclose(rule.score(features(np.ones((6, 4)))), 0, atol=1e-12)


def test_ridge_bears_one_known_subject_a_side():
    rule = ridge(features(np.array([[1.0, 0.2], [-1.0, 0.1]])), np.array([True, False]))
    assert (
        rule.score(features(np.array([[5.0, 0.0]])))[0] > 0 > rule.score(features(np.array([[-5.0, 0.0]])))[0]
    )


@given(columns)
def test_standardise_equals_scikit_learn_where_columns_vary(values):
    ours = standardise(values)
    varying = np.ptp(values, axis=0) > 1e-6
    np.testing.assert_allclose(
        ours[:, varying], StandardScaler().fit_transform(values)[:, varying], atol=1e-6
    )
    constant = (values == values[0]).all(axis=0)
    assert (ours[:, constant] == 0).all()


@settings(max_examples=50)
@given(columns, st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_standardise_forgets_unit_and_origin(values, unit, origin):
    varying = np.ptp(values, axis=0) > 1e-2
    np.testing.assert_allclose(
        standardise(values * unit + origin)[:, varying], standardise(values)[:, varying], atol=1e-4
    )


def blocks(rng: np.random.Generator, count: int = 23) -> list[np.ndarray]:
    wide = standardise(rng.normal(size=(count, 101)) ** 3)
    wide[:, 50] = 0
    return [standardise(rng.normal(size=(count, 4))), wide]


def test_every_block_weighs_the_same():
    pieces = blocks(np.random.default_rng(0))
    whole = joined([[piece] for piece in pieces])
    assert whole.shape == (23, 105)
    for part in (whole[:, :4], whole[:, 4:]):
        assert part.var(axis=0).sum() == pytest.approx(1)


@pytest.mark.parametrize("tile", [1, 7, 1000])
def test_coordinates_keep_all_inner_products_however_tiled(tile):
    pieces = blocks(np.random.default_rng(1))
    whole = joined([[piece] for piece in pieces])
    few = coordinates(np.array_split(p, max(1, p.shape[1] // tile), axis=1) for p in pieces)
    assert few.shape[1] <= 23
    np.testing.assert_allclose(few @ few.T, whole @ whole.T, atol=1e-9)


def test_a_rule_learnt_on_coordinates_is_the_rule_learnt_on_all_columns():
    rng = np.random.default_rng(2)
    pieces = blocks(rng, 40)
    member = np.arange(40) % 2 == 0
    pieces[1][:, :20] += 0.8 * member[:, None]
    known = rng.permutation(40)[:20]
    scores = []
    for values in (joined([[p] for p in pieces]), coordinates([[p] for p in pieces])):
        rule = ridge(features(values[known]), member[known])
        scores.append(rule.score(features(values)))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-8)
    assert np.std(scores[0]) > 0.1
