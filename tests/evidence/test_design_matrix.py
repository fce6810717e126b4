from __future__ import annotations

import numpy as np
import pandas as pd

from memberscan.evidence.design_matrix import (
    as_many,
    columns_of,
    less_explained,
    standardise_covariates,
)


def test_each_kind_of_covariate_becomes_standardised_columns():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.normal(60, 7, 50),
            "scans": rng.integers(1, 4, 50),
            "sex": rng.choice(["F", "M"], 50),
            "site": [None, *rng.choice(["a", "b", "c"], 49)],
            "patient": rng.random(50) < 0.5,
            "constant": 1.0,
            "empty": np.nan,
            "identifier": [f"id {i}" for i in range(50)],
        }
    )
    table.loc[3:8, "age"] = np.nan
    design = standardise_covariates(table)
    widths = {n: (c.straight.shape[1], c.curved.shape[1]) for n, c in design.covariates.items()}
    assert widths == {"age": (3, 9), "scans": (2, 3), "sex": (2, 2), "site": (4, 4), "patient": (1, 2)}
    assert {n for n, c in design.covariates.items() if not c.levels} == {"age"}
    assert set(design.ignored) == {"constant", "empty", "identifier"}
    assert "20 levels" in design.ignored["identifier"]
    every = columns_of([design.straight, *design.shifts, *design.curves, *design.pairs])
    np.testing.assert_allclose(every.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(every.std(axis=0), 1)


def test_numbers_enter_by_rank_so_that_outliers_and_units_do_not_matter():
    values = np.random.default_rng(1).lognormal(size=40)
    one, other = (
        standardise_covariates(pd.DataFrame({"x": x})).covariates["x"] for x in (values, np.log(values) * 1e6)
    )
    np.testing.assert_allclose(one.straight, other.straight)
    np.testing.assert_allclose(one.curved, other.curved)


def test_nullable_and_categorical_columns_are_understood():
    table = pd.DataFrame(
        {
            "scans": pd.array([1, None, 3, 2] * 5, dtype="Int64"),
            "site": pd.Categorical(["a", "b", None, "a"] * 5),
        }
    )
    covariates = standardise_covariates(table).covariates
    assert covariates["scans"].curved.shape[1] == 4  # three numbers, and missing
    assert covariates["site"].straight.shape[1] == 3


def test_a_curve_fits_two_humps_and_products_fit_a_slope_at_each_site():
    rng = np.random.default_rng(2)
    age, site = rng.normal(size=400), rng.choice(["a", "b"], 400)
    design = standardise_covariates(pd.DataFrame({"age": age, "site": site}))
    humps = np.exp(-((np.abs(age) - 1.2) ** 2) * 8)
    assert _fitted(design.curves[:1], humps) > 0.9 > 0.6 > _fitted([design.straight], humps)
    slopes = np.where(site == "a", age, -age)
    (pair,) = design.pairs
    assert _fitted(pair.parts, slopes) > 0.98
    assert _fitted(pair.base, slopes) < 0.1


def _fitted(groups, y):
    """Return the share of the variance of y that columns explain."""
    return 1 - less_explained(y[:, None] - y.mean(), columns_of(groups))[0].var() / y.var()


def test_what_a_base_explains_is_taken_out_as_least_squares_would():
    rng = np.random.default_rng(3)
    values, base = rng.normal(size=(50, 2)), rng.normal(size=(50, 4))
    base = np.column_stack([base, base[:, 0]])
    expected = values - base @ np.linalg.lstsq(base, values, rcond=None)[0]
    found, rank = less_explained(values, base)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert rank == 4
    assert less_explained(values, None) == (values, 0)


def test_groups_are_joined_without_repetitions_as_far_as_they_fit():
    rng = np.random.default_rng(4)
    design = standardise_covariates(pd.DataFrame(rng.normal(size=(30, 3)), columns=list("abc")))
    a, ab, ac = design.curves[0], *design.pairs[:2]
    curve, product = a.added.shape[1], ab.added.shape[1]
    assert columns_of([a, ab, ac]).shape[1] == 3 * curve + 2 * product
    assert as_many([ab, ac, a], 2 * curve + product) == [ab, a]
    assert as_many([ab], 1) == [ab]
    assert design.everything(3 * curve + 3 * product) == [*design.curves, *design.pairs]
    assert design.everything(3 * curve) == [design.straight]
