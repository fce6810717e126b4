from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memberscan.errors import BadInputError
from memberscan.evidence.admissible import COMPUTED, COPY, computed_from_predictions, copies_of_membership

RNG = np.random.default_rng(0)
MEMBER = np.arange(200) % 2 == 0
AGE = RNG.uniform(45, 80, 200).round(1)
PREDICTION = (62 + 0.7 * (AGE - 62) + RNG.normal(size=200) * np.where(MEMBER, 3, 5)).round(2)
GAP = PREDICTION - AGE
CORRECTED = GAP - np.polyval(np.polyfit(AGE, GAP, 1), AGE)
VOLUME = 1500 - 5 * AGE + RNG.normal(0, 60, 200)


@pytest.mark.parametrize(
    "column",
    [
        GAP,
        -GAP.round(0),
        12 * GAP,
        CORRECTED,
        GAP - np.polyval(np.polyfit(AGE, GAP, 2), AGE),
        np.abs(GAP),
        np.abs(CORRECTED).round(1),
        GAP**2,
        GAP / AGE,
        PREDICTION,
        PREDICTION.round(-1),
        pd.Series(GAP).rank(),
        (GAP > 0).astype(float),
        np.where(GAP > 0, "older", "younger"),
        pd.cut(GAP, [-99, -3, 3, 99], labels=["delayed", "usual", "accelerated"]).astype(str),
        np.where(RNG.random(200) < 0.1, np.nan, GAP),
        np.sqrt(np.abs(GAP)),
    ],
    ids=[
        "gap",
        "rounded",
        "months",
        "corrected",
        "corrected by a square",
        "size",
        "size of the corrected",
        "squared",
        "share of age",
        "prediction",
        "decade predicted",
        "rank",
        "sign",
        "sign in words",
        "three words",
        "with holes",
        "root",
    ],
)
def test_what_is_computed_from_age_and_prediction_is_no_covariate(column: np.ndarray) -> None:
    table = pd.DataFrame({"x": column})
    assert computed_from_predictions(table, AGE, PREDICTION, MEMBER) == {"x": COMPUTED}


@pytest.mark.parametrize(
    "column",
    [
        VOLUME,
        12 * AGE,
        2020 - AGE.round(),
        np.where(AGE > 60, "old", "young"),
        PREDICTION + RNG.normal(0, 3, 200),
        RNG.normal(size=200),
        RNG.choice(["F", "M"], 200),
        np.full(200, 7.0),
        np.full(200, np.nan),
        MEMBER.astype(float),
        np.where(MEMBER, "A", "B"),
    ],
    ids=[
        "volume",
        "age in months",
        "birth",
        "age in words",
        "another model",
        "noise",
        "sex",
        "constant",
        "empty",
        "membership",
        "site",
    ],
)
def test_covariates_stay(column: np.ndarray) -> None:
    table = pd.DataFrame({"x": column})
    assert computed_from_predictions(table, AGE, PREDICTION, MEMBER) == {}


def test_random_covariates_are_never_taken_for_computed() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        few = slice(0, 20)
        table = pd.DataFrame(
            {"a": rng.normal(size=20), "b": rng.choice(["F", "M"], 20), "c": rng.poisson(3, 20)}
        )
        assert computed_from_predictions(table, AGE[few], PREDICTION[few], MEMBER[few]) == {}


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("group", "train", "test"),
        ("dataset", "Training", "held-out"),
        ("split", 1.0, 2.0),
        ("in_training", "yes", "no"),
        ("isTrain", "True", "False"),
        ("Member (copy)", 0.0, 1.0),
    ],
)
def test_a_copy_of_membership_is_left_out(name: str, inside: object, outside: object) -> None:
    column = pd.Series([inside if m else outside for m in MEMBER])
    assert copies_of_membership(pd.DataFrame({name: column}), MEMBER) == {name: COPY}
    holes = column.mask(np.arange(200) < 15)
    assert copies_of_membership(pd.DataFrame({name: holes}), MEMBER) == {name: COPY}


def test_training_validation_and_test_are_a_copy_too() -> None:
    levels = np.where(MEMBER, np.where(AGE < 50, "val", "train"), "test")
    assert copies_of_membership(pd.DataFrame({"group": levels}), MEMBER) == {"group": COPY}


@pytest.mark.parametrize(
    "name", ["site", "Scanner_model", "test site", "diagnosis", "study", "MagneticFieldStrength"]
)
def test_two_sites_are_a_confounder_however_well_they_tell_the_sides_apart(name: str) -> None:
    assert copies_of_membership(pd.DataFrame({name: np.where(MEMBER, "A", "B")}), MEMBER) == {}


@pytest.mark.parametrize("name", ["x", "group", "arm"])
def test_what_no_word_decides_is_asked_for(name: str) -> None:
    with pytest.raises(BadInputError, match=f"column '{name}' equals membership: 'A' .*remove it"):
        copies_of_membership(pd.DataFrame({name: np.where(MEMBER, "A", "B")}), MEMBER)


def test_nearly_membership_is_a_covariate() -> None:
    column = np.where(MEMBER, "train", "test")
    column[:4] = "test"
    table = pd.DataFrame({"split": column, "volume": VOLUME, "fold": np.arange(200.0), "train": 1.0})
    assert copies_of_membership(table, MEMBER) == {}


@pytest.mark.parametrize(
    "column",
    [
        100 * np.abs(GAP) / AGE,
        (GAP / AGE) ** 2,
        np.abs(GAP) / PREDICTION,
        (200 * np.abs(GAP) / (AGE + PREDICTION)).round(1),
        np.log(PREDICTION / AGE),
    ],
    ids=["per cent", "squared share", "share of the prediction", "symmetric", "log"],
)
def test_errors_in_per_cent_are_computed(column: np.ndarray) -> None:
    table = pd.DataFrame({"x": column, "volume": VOLUME, "height": RNG.normal(170, 1, 200)})
    assert computed_from_predictions(table, AGE, PREDICTION, MEMBER) == {"x": COMPUTED}


@pytest.mark.parametrize("name", ["cv_fold", "train_loss", "TrainingSite_no", "foldNumber"])
def test_what_is_stated_of_members_alone_is_a_copy_if_its_name_is_of_training(name: str) -> None:
    column = pd.Series(np.arange(200) % 5 + 1.0).where(MEMBER)
    expected = {} if "Site" in name else {name: COPY}
    assert copies_of_membership(pd.DataFrame({name: column}), MEMBER) == expected
    assert copies_of_membership(pd.DataFrame({"memory score": column}), MEMBER) == {}


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("group", "control", "patient"),
        ("group", "HC", "AD"),
        ("sitenum", 1.0, 2.0),
        ("ManufacturersModelName", "Prisma", "Achieva"),
        ("EchoTime", 2.9, 3.1),
        ("TR", 2.3, 1.9),
    ],
)
def test_groups_and_sites_by_other_names_are_confounders(name: str, inside: object, outside: object) -> None:
    column = pd.Series([inside if m else outside for m in MEMBER])
    assert copies_of_membership(pd.DataFrame({name: column}), MEMBER) == {}
