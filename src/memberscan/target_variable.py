"""The target variable: what a model predicts of a person, in which unit, and how far off an answer is.

A target is a number in a unit (age in years, a score in points) or one of several classes (a diagnosis, sex).
All attacks and all evidence work on one residual of each scan, so they need to know of this only here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.errors import BadInputError
from memberscan.limits import MOST_CLASSES
from memberscan.shown import plain

if TYPE_CHECKING:
    from jaxtyping import Float

_LONGEST = 60
_FEWEST_CLASSES = 2


@dataclass(frozen=True)
class TargetVariable:
    """What a model predicts.

    Parameters
    ----------
    name
        Name of the column that holds it, such as "age".
    unit
        Unit of a number, such as "years" or "points"; empty for classes.
    classes
        Names of the classes, in the order of the model's outputs; empty for a number.

    Raises
    ------
    BadInputError
        If it has no name, neither or both of unit and classes, or one class only; or if a text is too long or
        cannot be printed.
    """

    name: str
    unit: str = ""
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, text in (("target", self.name), ("unit", self.unit), *(("class", c) for c in self.classes)):
            if plain(text) != text or text != text.strip() or len(text) > _LONGEST:
                raise BadInputError(f"{what} {plain(text)[:_LONGEST]!r}: write at most {_LONGEST} letters")
        if not self.name or bool(self.unit) == bool(self.classes):
            raise BadInputError(f"target {self.name!r}: give the unit of a number, or the names of classes")
        if self.name == "age" and self.unit != "years":
            raise BadInputError("ages are in years, whatever the unit in your table: leave out --unit")
        distinct = len(set(self.classes))
        if self.classes and (distinct < len(self.classes) or not _FEWEST_CLASSES <= distinct <= MOST_CLASSES):
            raise BadInputError(
                f"target {self.name!r} has the classes {', '.join(self.classes[:5])}; give from "
                f"{_FEWEST_CLASSES} to {MOST_CLASSES} different ones"
            )

    @property
    def is_age(self) -> bool:
        """Whether it is the age of the person at the scan."""
        return self == AGE

    def residual(
        self, label: Float[np.ndarray, "*shape"], answer: Float[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return how far answers are from the truth; zero is right.

        Parameters
        ----------
        label
            The truth: a number, or the position of the class.
        answer
            The prediction; or, for classes, the log-probability of the person's own class.

        Returns
        -------
        array
            Of a number, the signed residual label - prediction, in its unit. Of classes, the deviance
            residual sqrt(-2 log p), which is never negative: half its square is the cross-entropy, as half
            the square of a number's residual is the loss of squared error. So everything that holds for
            squared residuals holds for it. Source: McCullagh and Nelder, "Generalized Linear Models" (1989).
        """
        if self.classes:
            return np.asarray(np.sqrt(np.maximum(-2 * np.asarray(answer, dtype=float), 0.0)))
        return np.asarray(label - answer)

    def errors(
        self, label: Float[np.ndarray, " n"], answers: Mapping[str, Float[np.ndarray, " n"]]
    ) -> dict[str, Float[np.ndarray, " n"]]:
        """Return absolute residuals of several models' answers, by the name of the model."""
        return {name: np.abs(self.residual(label, answer)) for name, answer in answers.items()}

    def error_of_constant(self, label: Float[np.ndarray, " n"]) -> float:
        """Return the mean absolute residual of the best answer that is the same for everybody.

        It is the median of a number; of classes, the share of each. A label between two classes, the mean
        over scans of a person, counts for the nearer one.
        """
        if not self.classes:
            return float(np.abs(label - np.median(label)).mean())
        shares = np.unique(label.round(), return_counts=True)[1] / len(label)
        return float((shares * self.residual(shares, np.log(shares))).sum())

    def read(self, written: pd.Series) -> pd.Series:
        """Return the labels of a column as it is written in a table; NaN where they cannot be read."""
        if self.classes:
            return written.map({name: float(place) for place, name in enumerate(self.classes)}).astype(float)
        numbers = pd.to_numeric(written, errors="coerce").astype(float)
        return numbers.where(np.isfinite(numbers))

    def written(self, label: pd.Series) -> pd.Series:
        """Return labels as they are written in a table: numbers, or the names of classes."""
        return label.map(lambda place: self.classes[int(place)]) if self.classes else label


AGE = TargetVariable("age", "years")
"""The target of every cohort until another one is named."""


def minus_logit(residual: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return -log(p / (1 - p)) from deviance residuals of the probability p.

    p = exp(-r^2 / 2), so that (1 - p) / p = exp(r^2 / 2) - 1. Its logarithm is computed from r^2 / 2
    directly, which keeps the digits of probabilities near 1.
    """
    half = np.maximum(residual**2 / 2, _LEAST)
    # log(e^h - 1) = h + log(1 - e^-h)
    return np.asarray(half + np.log(-np.expm1(-half)))


_LEAST = math.exp(-100)
"""Least cross-entropy: the logarithm of a probability of exactly 1 would be infinite."""
