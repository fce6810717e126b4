from __future__ import annotations

import numpy as np
import pytest

from memberscan.errors import NotARegressorError
from memberscan.target_variable import AGE, TargetVariable
from memberscan.targets.plausible import require_plausible

RNG = np.random.default_rng(0)
AGES = RNG.uniform(45, 80, 200)


@pytest.mark.parametrize(
    "predictions",
    [
        AGES,
        AGES + RNG.normal(0, 4, 200),
        np.full(200, 62.0),
        AGES + 15,
        np.full(200, 45.0),
        62 - (AGES - 62),
    ],
    ids=["perfect", "usual", "mean age", "biased", "badly biased", "reversed"],
)
def test_predictions_in_years_pass_however_bad(predictions: np.ndarray) -> None:
    require_plausible(AGE, AGES, predictions)


def test_images_come_before_units_where_the_model_may_get_others() -> None:
    with pytest.raises(NotARegressorError, match=r"gives? .*; the images .*If they are, the predictions are"):
        require_plausible(AGE, AGES, AGES * 12, images_unproven=True)


@pytest.mark.parametrize(
    ("ages", "predictions", "message"),
    [
        (RNG.integers(0, 2, 200).astype(float), RNG.uniform(0, 1, 200), "2 distinct values.*class labels"),
        (np.full(200, 60.0), AGES, "1 distinct values"),
        (AGES, RNG.uniform(0, 1, 200), "between 0 and 1.*probabilities.*in years"),
        (AGES, (AGES - AGES.mean()) / AGES.std(), "another unit or standardised"),
        (AGES, AGES * 12, "another unit"),
        (AGES, AGES * 365.25, "another unit"),
        (AGES, RNG.normal(0, 3, 200), "another unit"),
    ],
    ids=["labels", "one age", "probabilities", "standardised", "months", "days", "logits"],
)
def test_what_is_not_in_years_is_refused_before_it_gives_a_false_answer(
    ages: np.ndarray, predictions: np.ndarray, message: str
) -> None:
    with pytest.raises(NotARegressorError, match=message) as caught:
        require_plausible(AGE, ages, predictions)
    assert caught.value.exit_code == 3


def test_people_of_one_age_are_no_reason_to_refuse_a_usual_model() -> None:
    ages = RNG.uniform(69, 74, 200)
    require_plausible(AGE, ages, ages + RNG.normal(0, 6, 200))
    with pytest.raises(NotARegressorError, match="another unit"):
        require_plausible(AGE, ages, (ages - ages.mean()) / ages.std())


def test_children_s_ages_standardised_are_still_refused() -> None:
    ages = RNG.uniform(6, 12, 200)
    for predictions in ((ages - 9) / 2, ages * 12, np.log(ages), ages / 10):
        with pytest.raises(NotARegressorError, match="another unit"):
            require_plausible(AGE, ages, predictions)


def test_codes_of_classes_are_no_ages_but_may_be_a_score() -> None:
    codes = RNG.integers(0, 3, 200).astype(float)
    with pytest.raises(NotARegressorError, match=r"3 distinct values.*class labels.*--target COLUMN"):
        require_plausible(AGE, codes, codes)
    require_plausible(TargetVariable("cdr", "points"), codes, codes + RNG.normal(0, 0.3, 200))
    require_plausible(AGE, codes + 30, codes + 30)


def test_another_target_is_named_with_its_unit() -> None:
    score = RNG.uniform(18, 30, 200)
    with pytest.raises(
        NotARegressorError, match=r"mmse goes from .* points.*give predictions in points"
    ) as caught:
        require_plausible(TargetVariable("mmse", "points"), score, RNG.uniform(0, 1, 200))
    assert "year" not in str(caught.value) and "age" not in str(caught.value)
