"""Checks what an audit of differential privacy is given, and names the argument that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import BadInputError, NonFiniteError, TooFewSubjectsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy.typing import ArrayLike


def checked_scores(name: str, scores: ArrayLike) -> Float[np.ndarray, " canaries"]:
    """Return the scores of one side as an array.

    Raises
    ------
    TooFewSubjectsError
        If there are none.
    BadInputError
        If they are not a list of numbers.
    NonFiniteError
        If one is NaN or infinite.
    """
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1:
        raise BadInputError(f"{name} has {values.ndim} dimensions; give one score for each canary")
    if not len(values):
        raise TooFewSubjectsError(f"{name} is empty; give at least one score")
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{name} has NaN or infinite scores; leave those canaries out on both sides")
    return values


def check_level(level: float) -> None:
    """Refuse a confidence level that is not between 0.5 and 1."""
    if not 0.5 < level < 1:
        raise BadInputError(f"level is {level}; give a confidence above 0.5 and below 1, such as 0.95")


def check_epsilon(epsilon: float) -> None:
    """Refuse an epsilon that is negative or NaN; infinity stands for no guarantee."""
    if not epsilon >= 0:
        raise BadInputError(f"epsilon is {epsilon}; give 0 or more")


def check_delta(delta: float, *, positive: bool = False) -> None:
    """Refuse a delta outside [0, 1), or 0 where ``positive`` says that no epsilon goes with it."""
    if not 0 <= delta < 1:
        raise BadInputError(f"delta is {delta}; give 0 or more, and less than 1")
    if positive and delta == 0:
        raise BadInputError(
            "delta is 0, with which no Gaussian mechanism has a finite epsilon; give 1e-5, say"
        )


def checked_thresholds(thresholds: Sequence[float]) -> Float[np.ndarray, " thresholds"]:
    """Return thresholds as an array; there must be one or more, all of them finite."""
    values = np.asarray(thresholds, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise BadInputError("thresholds must be a list of one or more finite numbers")
    return values


def checked_guesses(guesses: Sequence[int], canaries: int) -> tuple[int, ...]:
    """Return numbers of guesses; each must be a whole number from 1 to the number of canaries."""
    numbers = tuple(int(number) for number in guesses)
    if not numbers or numbers != tuple(guesses) or not all(1 <= n <= canaries for n in numbers):
        raise BadInputError(f"guesses must be whole numbers from 1 to {canaries}, the number of canaries")
    return numbers
