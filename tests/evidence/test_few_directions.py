"""The tails of means over draws in few directions: against simulated people, and at both extremes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from memberscan.evidence.few_directions import FewDirections
from memberscan.evidence.scores import MANY_DIRECTIONS
from tests.evidence.simulated import design_of

NORMAL = stats.norm.ppf(0.975)
HALVES = design_of(60, 60, 0.5, 5)


def by_people(law: FewDirections, stability: float, repetitions: int = 6000) -> tuple[float, float]:
    """Return the tails of a linear rule's mean over draws, person by person and draw by draw."""
    rng, design = np.random.default_rng(0), law.design
    truth = np.zeros(law.directions)
    known = float((design.known[0] ** 2).sum())
    truth[0] = np.sqrt(stability / (1 - stability) * law.directions * known)
    means = np.zeros(repetitions)
    for k in range(repetitions):
        errors = rng.normal(size=(design.weights.shape[1], law.directions))
        for fitted_on, scored in zip(design.known, design.weights, strict=True):
            rule = truth + fitted_on @ errors
            means[k] += rule @ (truth + scored @ errors) / np.linalg.norm(rule) / len(design.known)
    error = np.sqrt(float(design.of_means(stability)) * float((design.weights[0] ** 2).sum()))
    low, high = (np.quantile(means, [0.025, 0.975]) - means.mean()) / error
    return -float(low), float(high)


@pytest.mark.parametrize(("directions", "stability"), [(1, 0.0), (2, 0.0), (2, 0.5), (5, 0.2)])
def test_tails_are_those_of_simulated_people(directions: int, stability: float):
    law = FewDirections(HALVES, directions)
    found = law.tails(np.array([stability]))[:, 0]
    np.testing.assert_allclose(found, by_people(law, stability), atol=0.12)


def test_without_a_leak_fewer_directions_have_a_shorter_lower_tail():
    below, above = np.transpose(
        [FewDirections(HALVES, each).tails(np.zeros(1))[:, 0] for each in (1, 2, 3, 5, 10, MANY_DIRECTIONS)]
    )
    assert (np.diff(below) > 0).all()
    assert below[0] < 0.65 * NORMAL
    assert below[-1] == pytest.approx(NORMAL, rel=0.05)
    np.testing.assert_allclose(above, NORMAL, rtol=0.06)


def test_the_documentation_has_these_quantiles():
    page = Path(__file__).parents[2] / "docs" / "explanation" / "statistics.md"
    rows = re.findall(r"^\| (\d+) \| −([\d.]+) \| ([\d.]+) \|$", page.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == 5
    for directions, *tails in rows:
        found = FewDirections(design_of(400, 400, 0.5, 5), int(directions)).tails(np.zeros(1))[:, 0]
        np.testing.assert_allclose(found, [float(tail) for tail in tails], atol=0.06)


def test_one_pair_of_halves_has_two_equal_tails():
    """Each half fitted and the other scored, once: the mean changes its sign with either half."""
    below, above = FewDirections(design_of(60, 60, 0.5, 1), 2).tails(np.zeros(1))[:, 0]
    assert below == pytest.approx(above, rel=0.06)
    assert above < 0.95 * NORMAL


@pytest.mark.parametrize("directions", [1, 4, MANY_DIRECTIONS + 1])
def test_stable_fits_have_the_tails_of_a_normal(directions: int):
    np.testing.assert_allclose(FewDirections(HALVES, directions).tails(np.ones(1)), NORMAL)


def test_many_directions_are_a_normal_and_have_no_longest_error():
    (law,) = FewDirections.of_each(HALVES, [np.inf])
    np.testing.assert_allclose(law.tails(np.linspace(0, 1, 7)), NORMAL)
    assert law.longest_error == np.inf


def test_attacks_with_as_many_directions_share_one_law():
    first, second, third, none = FewDirections.of_each(HALVES, [2.2, 5.0, 2.9, 0.0])
    assert first is third
    assert [each.directions for each in (first, second, none)] == [3, 5, 1]
    assert second.longest_error == pytest.approx(5 * HALVES.one_direction)
