"""The quantile attack: what it learns, from whom, and the case that only it can tell from a leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from memberscan.attacks.attack import FittedAttack, KnownScans
from memberscan.attacks.error import ERROR
from memberscan.attacks.prediction_label import PREDICTION_LABEL
from memberscan.attacks.quantile import FLOOR, PENALTIES, QUANTILE, QUANTILE_EMBEDDING
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import PREDICTION, View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.covariates import COVARIATES


def world(
    seed: int, *, leak: float = 1.0, share: float = 0.5, noisy: float = 4.0, people: int = 1200
) -> tuple[View, np.ndarray, KnownScans]:
    """Draw people of whom some were scanned on a scanner with larger errors; half of both sides are known.

    Parameters
    ----------
    seed
        Of the random numbers.
    leak
        How many times as large the errors of non-members are.
    share
        Of members who were scanned there; of non-members it is one less this share.
    noisy
        How many times as large errors are there.
    people
        Members and non-members together.
    """
    rng = np.random.default_rng(seed)
    member = np.arange(people) % 2 == 0
    other = rng.random(people) < np.where(member, share, 1 - share)
    residual = rng.normal(size=people) * np.where(member, 1.0, leak) * np.where(other, noisy, 1.0)
    age = rng.uniform(45, 80, people)
    quality = other + 0.3 * rng.normal(size=people)
    values = {
        PREDICTION: age - residual,
        COVARIATES: np.column_stack([other - other.mean(), (age - 62.5) / 10]),
        ACTIVATION: np.column_stack([quality, age - residual, rng.normal(size=(people, 4))]),
    }
    scans = pd.DataFrame({"subject_id": np.arange(people).astype(str), "label": age})
    known = np.flatnonzero(rng.permutation(people) < people // 2)
    return View(scans.set_index(scans["subject_id"]), values), member, KnownScans(known, member[known])


def auc(attack: FittedAttack, view: View, member: np.ndarray, known: KnownScans) -> float:
    rest = np.ones(len(member), dtype=bool)
    rest[known.places] = False
    scores = attack.score(attack.observe(view), known)[rest]
    return float(aucs_of_rows(scores[None], member[rest][None].astype(float))[0])


def test_it_is_the_distance_to_a_ridge_regression_on_known_non_members():
    view, member, known = world(0)
    others = known.places[~known.member]
    columns, square = view[COVARIATES], view.residual**2
    target = np.log(square + FLOOR * np.median(square))

    def left_out(penalty: float) -> float:
        hat = np.column_stack([np.ones(len(others)), columns[others]])
        hat = hat @ np.linalg.solve(hat.T @ hat + np.diag([0, penalty, penalty]), hat.T)
        return float(np.mean(((target[others] - hat @ target[others]) / (1 - np.diag(hat))) ** 2))

    model = Ridge(min(PENALTIES, key=left_out)).fit(columns[others], target[others])
    expected = model.predict(columns) - target
    found = QUANTILE.score(QUANTILE.observe(view), known)
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-8)
    inside = member[known.places]
    assert found[known.places][inside].mean() == pytest.approx(-found[known.places][~inside].mean())


@pytest.mark.parametrize("attack", [QUANTILE, QUANTILE_EMBEDDING])
def test_it_finds_more_than_other_attacks_if_errors_depend_on_covariates(attack: FittedAttack):
    found = [
        [auc(each, *world(seed, leak=1.6)) for each in (attack, ERROR, PREDICTION_LABEL)] for seed in range(4)
    ]
    mine, *others = np.mean(found, axis=0)
    assert mine > max(others) + 0.03


def test_a_difference_in_covariates_is_no_leak_to_it():
    found = [[auc(each, *world(seed, share=0.2)) for each in (QUANTILE, ERROR)] for seed in range(40)]
    mine, error = np.mean(found, axis=0)
    # A ridge leaves a little of the difference.
    assert abs(mine - 0.5) < 0.01 + 3 * 0.024 / np.sqrt(40)
    assert error > 0.68


def test_the_embedding_serves_where_the_covariate_was_not_recorded():
    found = []
    for seed in range(20):
        view, *rest = world(seed, leak=1.6)
        less = View(view.scans, {**view.values, COVARIATES: view[COVARIATES][:, 1:]})
        found.append([auc(each, less, *rest) for each in (QUANTILE_EMBEDDING, QUANTILE)])
    embedding, alone = np.mean(found, axis=0)
    assert embedding > alone + 0.015


def test_an_embedding_that_is_the_prediction_explains_no_errors_away():
    view, member, known = world(2, leak=3.0)
    doubled = {**view.values, ACTIVATION: np.column_stack([view[PREDICTION]] * 2)}
    same = View(view.scans, doubled)
    expected = auc(QUANTILE, view, member, known)
    assert auc(QUANTILE_EMBEDDING, same, member, known) == pytest.approx(expected, abs=0.01)


def test_the_known_members_only_place_the_threshold():
    view, member, known = world(3)
    changed = view[PREDICTION].copy()
    changed[known.places[known.member]] += 0.5
    other = View(view.scans, {**view.values, PREDICTION: changed})
    rest = ~member
    one, two = (QUANTILE.score(QUANTILE.observe(each), known)[rest] for each in (view, other))
    np.testing.assert_allclose(one - one.mean(), two - two.mean(), atol=0.05)
