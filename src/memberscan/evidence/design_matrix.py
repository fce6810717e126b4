"""Covariates of subjects as numbers: what a classifier that never saw the model can work with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from scipy.interpolate import BSpline
from scipy.special import ndtri

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_LEVELS = 20
"""Text with more distinct values than this is named and left out."""
_FEW_VALUES = 5
"""Numbers with no more distinct values than this are levels, as text is."""
_DEGREE = 3
_KNOTS = np.asarray(stats.norm.ppf([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]))
"""Knots of the splines, in normal scores: they lie at these quantiles of every covariate."""


@dataclass(frozen=True, eq=False)
class Covariate:
    """One covariate as columns of mean 0 and standard deviation 1 over subjects.

    Parameters
    ----------
    straight
        Few columns: normal scores and their squares, so that a shift and a difference in spread show; one
        column for each level of text.
    curved
        Columns that fit any smooth curve (a cubic spline of the normal scores), or any levels.
    levels
        Whether it has levels, so that both are the same.
    """

    straight: Float[np.ndarray, "subjects few"]
    curved: Float[np.ndarray, "subjects more"]
    levels: bool


@dataclass(frozen=True, eq=False)
class Group:
    """Columns that may tell the two sides apart.

    Parameters
    ----------
    names
        The covariates that they are made of: one, two, or all of them.
    added
        The columns.
    base
        Other groups: what the columns explain of membership is judged beyond these.
    """

    names: tuple[str, ...]
    added: Float[np.ndarray, "subjects added"]
    base: tuple[Group, ...] = ()

    @property
    def parts(self) -> tuple[Group, ...]:
        """The groups of the base and this one."""
        return (*self.base, self)


@dataclass(frozen=True, eq=False)
class Design:
    """The usable covariates as standardised columns.

    Parameters
    ----------
    covariates
        Columns of each covariate.
    ignored
        Covariates left out, with the reason.
    """

    covariates: dict[str, Covariate]
    ignored: dict[str, str]

    @cached_property
    def straight(self) -> Group:
        """The straight columns of all covariates: together they see many small differences."""
        return Group(tuple(self.covariates), np.hstack([each.straight for each in self.covariates.values()]))

    @cached_property
    def shifts(self) -> tuple[Group, ...]:
        """The one column of each covariate that sees a shift, however small."""
        return tuple(Group((name,), each.straight[:, :1]) for name, each in self.covariates.items())

    @cached_property
    def curves(self) -> tuple[Group, ...]:
        """The curve of each covariate: it sees two humps."""
        return tuple(Group((name,), each.curved) for name, each in self.covariates.items())

    def everything(self, most: int) -> list[Group]:
        """Return curves and products of all covariates, or their straight columns if those are too many."""
        every = [*self.curves, *self.pairs]
        return every if _width(every) <= most else [self.straight]

    @cached_property
    def pairs(self) -> tuple[Group, ...]:
        """Products of two covariates beyond their curves: they see an age difference at one site only."""
        return tuple(
            Group((*a.names, *b.names), products(*(self.covariates[g.names[0]] for g in (a, b))), (a, b))
            for a, b in itertools.combinations(self.curves, 2)
        )


def as_many(ranked: Iterable[Group], most: int) -> list[Group]:
    """Return the first group, and of the others in their order those that fit into so many columns."""
    chosen: list[Group] = []
    for group in ranked:
        if not chosen or _width([*chosen, group]) <= most:
            chosen.append(group)
    return chosen


def columns_of(groups: Iterable[Group]) -> Float[np.ndarray, "subjects columns"]:
    """Return the columns of groups and of their bases beside each other, each group once."""
    return np.hstack([group.added for group in _each_once(groups)])


def _each_once(groups: Iterable[Group]) -> list[Group]:
    return list({id(part): part for group in groups for part in group.parts}.values())


def _width(groups: Iterable[Group]) -> int:
    return sum(group.added.shape[1] for group in _each_once(groups))


def less_explained(
    values: Float[np.ndarray, "subjects columns"], base: Float[np.ndarray, "subjects base"] | None
) -> tuple[Float[np.ndarray, "subjects columns"], int]:
    """Return values less their least-squares fit on the columns of a base, and the rank of the base.

    Through the products of columns, many times faster than by the columns themselves; those that repeat
    others are left out, which standardised columns allow.
    """
    if base is None:
        return values, 0
    squares, vectors = np.linalg.eigh(base.T @ base)
    kept = squares > 1e-9 * len(base)
    directions = base @ (vectors[:, kept] / np.sqrt(squares[kept]))
    return values - directions @ (directions.T @ values), int(kept.sum())


def products(a: Covariate, b: Covariate) -> Float[np.ndarray, "subjects columns"]:
    """Return standardised products of the columns of two covariates; a level has a curve of its own."""
    left = a.curved if b.levels else a.straight
    right = b.curved if a.levels else b.straight
    product = left[:, :, None] * right[:, None, :]
    return _standardised(product.reshape(len(product), -1))


def standardise_covariates(covariates: pd.DataFrame) -> Design:
    """Turn a table of covariates, one row per subject, into columns.

    Numbers become normal scores of their ranks, so that no outlier rules. Missing values get a column of
    their own, and the mean elsewhere. Nothing here looks at membership.
    """
    columns: dict[str, Covariate] = {}
    ignored: dict[str, str] = {}
    for name, values in covariates.items():
        numeric, distinct = pd.api.types.is_numeric_dtype(values.dtype), values.nunique()
        if not numeric and distinct > MOST_LEVELS:
            ignored[str(name)] = f"text with more than {MOST_LEVELS} levels"
            continue
        numbers = values.to_numpy(dtype=float, na_value=np.nan) if numeric else None
        straight = _levels(values) if numbers is None else _straight(numbers)
        if not straight.shape[1]:
            ignored[str(name)] = "the same for everyone"
        elif numbers is None or distinct <= _FEW_VALUES:
            columns[str(name)] = Covariate(straight, _levels(values), levels=True)
        else:
            columns[str(name)] = Covariate(straight, _curved(numbers), levels=False)
    return Design(columns, ignored)


def _straight(values: Float[np.ndarray, " subjects"]) -> Float[np.ndarray, "subjects 3"]:
    known = np.isfinite(values)
    z = _normal_scores(values, known)
    square = np.where(known, z**2, (z[known] ** 2).mean() if known.any() else 0.0)
    return _standardised(np.column_stack([z, square, ~known]))


def _curved(values: Float[np.ndarray, " subjects"]) -> Float[np.ndarray, "subjects columns"]:
    known = np.isfinite(values)
    z = np.clip(_normal_scores(values, known), _KNOTS[0], _KNOTS[-1])
    knots = np.r_[[_KNOTS[0]] * _DEGREE, _KNOTS, [_KNOTS[-1]] * _DEGREE]
    basis = BSpline.design_matrix(z, knots, _DEGREE).toarray()
    basis[~known] = basis[known].mean(axis=0)
    # The columns of a spline add up to one: without the first, they are independent of an intercept.
    return _standardised(np.column_stack([basis[:, 1:], ~known]))


def _normal_scores(
    values: Float[np.ndarray, " subjects"], known: Float[np.ndarray, " subjects"]
) -> Float[np.ndarray, " subjects"]:
    z = np.zeros(len(values))
    z[known] = ndtri((stats.rankdata(values[known]) - 0.5) / max(known.sum(), 1))
    return z


def _levels(values: pd.Series) -> Float[np.ndarray, "subjects levels"]:
    written = values.astype("str").where(values.notna(), "missing")
    return _standardised(pd.get_dummies(written, dtype=float).to_numpy())


def _standardised(raw: Float[np.ndarray, "subjects columns"]) -> Float[np.ndarray, "subjects varying"]:
    """Return columns of mean 0 and standard deviation 1, without those that are the same for everyone."""
    centred = raw - raw.mean(axis=0)
    spread = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(raw))
    varies = spread > 1e-9
    return np.asarray(centred[:, varies] / spread[varies])
