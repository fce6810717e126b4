"""A check of how predictions were made must see an artefact and stay quiet under an honest leak."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.evidence.prediction_scale import compare_predictions


def overfitted(
    rng: np.random.Generator, people: int, features: int, penalty: float
) -> tuple[np.ndarray, ...]:
    """Train a ridge regression on half of the people, and return ages, residuals of one pass and sides."""
    age = rng.uniform(20, 80, size=2 * people)
    x = 0.02 * (age - 50)[:, None] * rng.normal(size=features) + rng.normal(size=(2 * people, features))
    member = np.arange(2 * people) < people
    centre, mean = x[member].mean(axis=0), age[member].mean()
    inside = x[member] - centre
    weights = np.linalg.solve(inside.T @ inside + penalty * np.eye(features), inside.T @ (age[member] - mean))
    return age, (x - centre) @ weights + mean - age, member


@pytest.mark.parametrize(
    ("people", "features", "penalty"), [(30, 20, 5.0), (60, 40, 1.0), (60, 200, 10.0), (300, 50, 10.0)]
)
def test_overfitted_models_raise_no_warning(people: int, features: int, penalty: float) -> None:
    rng = np.random.default_rng(0)
    warned, leaks = 0, []
    for _ in range(150):
        age, residual, member = overfitted(rng, people, features, penalty)
        warned += compare_predictions(age, residual, member).unlike
        leaks.append(np.abs(residual[~member]).mean() / np.abs(residual[member]).mean())
    assert np.mean(leaks) > 1.05
    assert warned <= 5


@pytest.mark.parametrize("tails", [3, 30])
def test_without_a_leak_it_seldom_warns(tails: int) -> None:
    rng = np.random.default_rng(1)
    member = np.arange(100) < 40
    warned = 0
    for _ in range(400):
        age = rng.uniform(20, 80, size=100)
        residual = -0.4 * (age - 50) + 5 * rng.standard_t(tails, size=100)
        warned += compare_predictions(age, residual, member).unlike
    assert warned <= 10


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("spread", lambda prediction, sd, rng: prediction + 1.2 * sd * rng.normal(size=len(prediction))),
        ("slope", lambda prediction, _, __: 0.4 * prediction + 30),
        ("level", lambda prediction, sd, _: prediction + 0.8 * sd),
        ("shift", lambda prediction, sd, _: prediction - 1.2 * sd),
    ],
)
def test_predictions_made_in_another_way_are_seen(expected, change) -> None:
    """Training mode adds noise, early epochs predict the mean, and moments of a batch shift the level."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(40):
        age, residual, member = overfitted(rng, 100, 20, 5.0)
        prediction = age + residual
        prediction[member] = change(prediction[member], residual[~member].std(), rng)
        check = compare_predictions(age, prediction - age, member)
        assert check.unlike == (check.p_value < 0.01)
        found.append(expected in check.differences)
    assert np.mean(found) > 0.5


def test_constant_errors_and_ages_are_borne() -> None:
    member = np.arange(24) < 12
    same = compare_predictions(np.full(24, 50.0), np.zeros(24), member)
    assert not same.unlike and same.p_value == 1
    shifted = compare_predictions(np.linspace(20, 80, 24), np.where(member, 3.0, 0.0), member)
    assert set(shifted.differences) >= {"level", "shift"}
