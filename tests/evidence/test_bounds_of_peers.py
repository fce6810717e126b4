"""Bounds of jax_privacy on the same scores.

``python -m benchmarks.privacy_bounds --golden tests/evidence/golden_jax_privacy.json`` makes the file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from memberscan.evidence.epsilon_bounds import epsilon_clopper_pearson, epsilon_gaussian
from memberscan.evidence.one_run import epsilon_one_run, epsilon_one_run_fdp
from memberscan.evidence.one_run_rejection import p_values

GOLDEN = json.loads(Path(__file__).with_name("golden_jax_privacy.json").read_text("utf-8"))
*WITH_A_LEAK, WITHOUT = GOLDEN["scores"]
# The tool searches epsilon to 1e-6.
close = pytest.approx


def options_of(case):
    return {"delta": case["delta"], "level": 1 - case["significance"]}


@pytest.mark.parametrize("case", GOLDEN["scores"])
def test_clopper_pearson_at_one_threshold(case):
    bound = epsilon_clopper_pearson(
        case["inside"], case["outside"], thresholds=[case["threshold"]], **options_of(case)
    )
    assert bound.value == close(case["bounds"]["Clopper-Pearson, one threshold"], abs=1e-9)


@pytest.mark.parametrize("case", WITH_A_LEAK)
def test_bounds_that_are_corrected_over_the_same_thresholds(case):
    """The tool takes the corners of the hull of the ROC curve, and calls scores from there upwards "in".

    Which corners there are depends on who was in, so its correction counts fewer thresholds than were looked
    at. By default memberscan's thresholds depend on the ranks of canaries that were out alone.
    """
    thresholds = [t - 0.0005 for t in case["thresholds"]]
    for method, name in ((epsilon_clopper_pearson, "Clopper-Pearson"), (epsilon_gaussian, "Gaussian")):
        bound = method(case["inside"], case["outside"], thresholds=thresholds, **options_of(case))
        assert bound.value == close(case["bounds"][f"{name}, its thresholds"], abs=2e-6)


@pytest.mark.parametrize("case", GOLDEN["scores"])
def test_one_run_with_the_same_guesses(case):
    """A threshold of the tool's makes as many guesses as scores above it; the number is not corrected for."""
    guesses = [sum(score > case["threshold"] for score in case["inside"] + case["outside"])]
    for method, name in ((epsilon_one_run, "one run"), (epsilon_one_run_fdp, "one run, f-DP, Gaussian")):
        bound = method(case["inside"], case["outside"], guesses=guesses, sides="in", **options_of(case))
        assert bound.value == close(case["bounds"][name], abs=5e-6)


@pytest.mark.parametrize("case", GOLDEN["counts"])
def test_p_values(case):
    numbers = case["canaries"], case["guesses"], case["correct"], case["delta"]
    assert p_values(np.array([case["epsilon"]]), *numbers)[0] == close(case["p"], rel=1e-9, abs=1e-12)


def test_where_the_gaussian_bound_differs_on_purpose():
    """Version 2.0.0 takes the absolute value of a difference of upper limits, which is no limit.

    Eight canaries a side without any leak then show epsilon 9.8; google-deepmind/jax_privacy#270 says why.
    """
    thresholds = [t - 0.0005 for t in WITHOUT["thresholds"]]
    bound = epsilon_gaussian(
        WITHOUT["inside"], WITHOUT["outside"], thresholds=thresholds, **options_of(WITHOUT)
    )
    assert WITHOUT["bounds"]["Gaussian, its thresholds"] > 9
    assert bound.value == 0
