from __future__ import annotations

import numpy as np
import pandas as pd

from memberscan.evidence.design_matrix import standardise_covariates


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
    columns = standardise_covariates(table)
    widths = {name: values.shape[1] for name, values in columns.columns.items()}
    assert widths["age"] == 3
    assert widths["sex"] == 2
    assert widths["site"] == 4
    assert set(columns.ignored) == {"constant", "empty", "identifier"}
    assert "20 levels" in columns.ignored["identifier"]
    np.testing.assert_allclose(columns.matrix.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(columns.matrix.std(axis=0), 1)


def test_numbers_enter_by_rank_so_that_outliers_and_units_do_not_matter():
    values = np.random.default_rng(1).lognormal(size=40)
    one = standardise_covariates(pd.DataFrame({"x": values})).matrix
    np.testing.assert_allclose(standardise_covariates(pd.DataFrame({"x": np.log(values) * 1e6})).matrix, one)


def test_nullable_and_categorical_columns_are_understood():
    table = pd.DataFrame(
        {
            "scans": pd.array([1, None, 3, 2] * 5, dtype="Int64"),
            "site": pd.Categorical(["a", "b", None, "a"] * 5),
        }
    )
    columns = standardise_covariates(table).columns
    assert columns["scans"].shape[1] == 3
    assert columns["site"].shape[1] == 3
