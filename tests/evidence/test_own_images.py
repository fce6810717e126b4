from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.evidence.own_images import OwnImages, judge_images, other_images
from memberscan.evidence.verdict import Basis, Verdict, with_other_images
from memberscan.target_variable import AGE

AGES = np.random.default_rng(0).uniform(45, 80, 60)
BASELINE = float(np.abs(AGES - np.median(AGES)).mean())


def errors(mean: float, seed: int = 1) -> np.ndarray:
    drawn = np.abs(np.random.default_rng(seed).normal(size=60))
    return drawn * mean / drawn.mean()


def verdict(label: str) -> Verdict:
    return Verdict(label, "A sentence.", 0.65, Basis("simultaneous bound"), "More people.")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mean", "stated", "expected"),
    [
        (0.85 * BASELINE, None, None),
        (0.95 * BASELINE, None, "no better than the median"),
        (1.1 * BASELINE, None, "no better than the median"),
        (5.0, 0.08, "worse than stated"),
        (5.0, 4.5, None),
        (5.0, 3.2, None),
        (1.1 * BASELINE, 2.0, "worse than stated"),
        (1.1 * BASELINE, 1.1 * BASELINE, "no better than the median"),
        (0.0, 0.0, None),
    ],
)
def test_errors_on_members_tell(mean: float, stated: float | None, expected: str | None) -> None:
    assert other_images(BASELINE, errors(mean), stated) == expected


@given(
    st.lists(st.floats(18, 90), min_size=2, max_size=30),
    st.floats(0.01, 50),
    st.one_of(st.none(), st.floats(0, 50)),
    st.floats(0.01, 100),
)
def test_the_unit_and_order_do_not_matter(
    ages: list[float], mean: float, stated: float | None, unit: float
) -> None:
    age, error = np.array(ages), np.abs(np.random.default_rng(2).normal(size=len(ages))) * mean
    guess = AGE.error_of_constant(age)
    found = other_images(guess, error, stated)
    again = other_images(
        AGE.error_of_constant(age[::-1] * unit),
        error[::-1] * unit * (1 + 1e-12),
        None if stated is None else stated * unit,
    )
    close = np.isclose(error.mean(), 0.9 * np.abs(age - np.median(age)).mean())
    assert close or again == found


def test_own_predictions_say_it_better_than_errors() -> None:
    bad = errors(2 * BASELINE)
    assert judge_images(None, BASELINE, bad, None) is None
    assert judge_images(OwnImages(7), BASELINE, bad, 0.1) == OwnImages(7)
    assert judge_images(OwnImages(None), BASELINE, bad, None) == OwnImages(None, "no better than the median")


def test_an_exact_training_is_seldom_doubted() -> None:
    doubted = [other_images(BASELINE, errors(4.0, seed), 4.0) is not None for seed in range(200)]
    assert not any(doubted)


@pytest.mark.parametrize("label", ["no leak shown", "inconclusive"])
def test_finding_nothing_says_nothing(label: str) -> None:
    found = with_other_images(verdict(label), "no better than the median")
    assert found.label == "inconclusive"
    assert found.sentence.startswith("The images are probably not those that the model was trained on:")
    assert "answering the same" in found.sentence
    assert "--as-is" in found.would_change


@pytest.mark.parametrize("label", ["leaks", "confounded"])
def test_what_was_found_stays_found(label: str) -> None:
    found = with_other_images(verdict(label), "worse than stated")
    assert found.label == label
    assert found.sentence.startswith("A sentence. The images are probably not those")
    assert "was stated" in found.sentence
