"""Covariates of subjects as numbers: what a classifier that never saw the model can work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_LEVELS = 20
"""Text with more distinct values than this is named and left out."""


@dataclass(frozen=True, eq=False)
class Design:
    """Standardised columns of each usable covariate.

    Parameters
    ----------
    columns
        For each covariate its columns: mean 0 and standard deviation 1 over subjects.
    ignored
        Covariates left out, with the reason.
    """

    columns: dict[str, Float[np.ndarray, "subjects width"]]
    ignored: dict[str, str]

    @property
    def matrix(self) -> Float[np.ndarray, "subjects features"]:
        """All columns beside each other."""
        return np.hstack(list(self.columns.values()))


def standardise_covariates(covariates: pd.DataFrame) -> Design:
    """Turn a table of covariates, one row per subject, into columns.

    Numbers become normal scores of their ranks, and the squares of those, so that a shift and a difference in
    spread both show and no outlier rules. Text becomes one column a level. Missing values get a column of
    their own, and the mean elsewhere. Nothing here looks at membership.
    """
    columns: dict[str, np.ndarray] = {}
    ignored: dict[str, str] = {}
    for name, values in covariates.items():
        numeric = pd.api.types.is_numeric_dtype(values.dtype)
        if not numeric and values.nunique() > MOST_LEVELS:
            ignored[str(name)] = f"text with more than {MOST_LEVELS} levels"
            continue
        raw = _numbers(values.to_numpy(dtype=float, na_value=np.nan)) if numeric else _levels(values)
        spread = raw.std(axis=0)
        varies = spread > 1e-9
        if not varies.any():
            ignored[str(name)] = "the same for everyone"
            continue
        columns[str(name)] = (raw[:, varies] - raw[:, varies].mean(axis=0)) / spread[varies]
    return Design(columns, ignored)


def _numbers(values: Float[np.ndarray, " subjects"]) -> Float[np.ndarray, "subjects 3"]:
    known = np.isfinite(values)
    z = np.zeros(len(values))
    z[known] = stats.norm.ppf((stats.rankdata(values[known]) - 0.5) / max(known.sum(), 1))
    square = np.where(known, z**2, (z[known] ** 2).mean() if known.any() else 0.0)
    return np.column_stack([z, square, ~known])


def _levels(values: pd.Series) -> Float[np.ndarray, "subjects levels"]:
    return pd.get_dummies(values.astype("str").where(values.notna(), "missing"), dtype=float).to_numpy()
