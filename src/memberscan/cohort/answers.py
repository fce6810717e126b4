"""Read a model's answers from a user's table: one prediction per row, or a probability for each class."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.errors import BadInputError
from memberscan.target_variable import TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Float

PREDICTION = "prediction"
_OF_CLASS = "p_"
_COPY = re.compile(r"copy_([1-9][0-9]{0,3})_(.+)", re.DOTALL)
_ROUNDING = 0.005
"""Each probability of a row may miss its value by this, that of two decimals, so that their sum misses 1."""


def answer_columns(variable: TargetVariable) -> list[str]:
    """Return the names of the columns with a model's answers: prediction, or p_CLASS of each class."""
    return [f"{_OF_CLASS}{name}" for name in variable.classes] or [PREDICTION]


def answers_in(
    table: pd.DataFrame, variable: TargetVariable, label: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Return the prediction of each row; of classes, the log-probability of the row's own class.

    Parameters
    ----------
    table
        With the columns of :func:`answer_columns`, as text.
    variable
        What the model predicts.
    label
        True value of each row, or the position of its class.

    Returns
    -------
    array
        NaN where a cell is not a number, or the numbers of a row are not probabilities.
    """
    numbers = table[answer_columns(variable)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not variable.classes:
        return np.asarray(numbers[:, 0])
    # Between 0 and 1 and with sum 1, but for rounding; NaN fails every comparison.
    proper = (numbers >= 0).all(axis=1) & (
        np.abs(numbers.sum(axis=1) - 1) <= _ROUNDING * numbers.shape[1] + 1e-9
    )
    own = numbers[np.arange(len(numbers)), label.astype(int)]
    # Rounded to zero, a probability would have an infinite logarithm: it is at most half of the last digit.
    least = np.finfo(float).tiny if (own > 0).all() else float(own[own > 0].min(initial=1.0)) / 2
    return np.where(proper, np.log(np.clip(own, least, 1.0)), np.nan)


def copy_columns(columns: Iterable[str], variable: TargetVariable) -> list[list[str]]:
    """Return the names of the columns with answers about changed copies of the scans, for each copy in order.

    They are named as the columns with answers about the scans, such as copy_1_prediction.

    Raises
    ------
    BadInputError
        If the copies are not numbered from one without gaps, or one lacks a column.
    """
    answers, given = answer_columns(variable), list(columns)
    split = (_COPY.fullmatch(column) for column in given)
    found = {int(match[1]) for match in split if match and match[2] in answers}
    every = [[f"copy_{number}_{name}" for name in answers] for number in range(1, len(found) + 1)]
    if lacking := [column for copy in every for column in copy if column not in given]:
        raise BadInputError(
            f"there are predictions of {len(found)} copies, but no column {lacking[0]}; number copies from 1"
        )
    return every


def answers_about_copies(
    table: pd.DataFrame, variable: TargetVariable, label: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, "rows copies"] | None:
    """Return the same as :func:`answers_in` for each of the :func:`copy_columns`; None without any."""
    copies = copy_columns(table.columns, variable)
    if not copies:
        return None
    return np.column_stack(
        [
            answers_in(table[copy].set_axis(answer_columns(variable), axis=1), variable, label)
            for copy in copies
        ]
    )


def needs_in_words(variable: TargetVariable) -> str:
    """Return which columns of answers a table needs, for messages."""
    columns = answer_columns(variable)
    return PREDICTION if not variable.classes else f"{', '.join(columns)} (probabilities)"
