"""Columns that must not be covariates: those computed from predictions, and copies of membership.

Both tell members from non-members by themselves: as covariates they would make a leak look like confounding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Bool, Float

COMPUTED = "computed from the model's predictions"
COPY = "a copy of membership"
_FEWEST, _FEWEST_ANSWERS = 20, 3
"""With fewer people a column could agree with the predictions by chance."""
_EXPLAINED = 0.95
"""A column is computed from predictions if they explain this share of its variance beyond age."""
_MOST_LEVELS = 20
_UNLIKELY = np.log(1e6)
"""A column counts as computed if its levels would be in order by chance less than once in a million."""
_STATED = 0.9
"""Share of people for which a copy of membership must have a value."""

_MEMBERSHIP = """
member members membership nonmember nonmembers train training trained trainset test testing testset val valid
validation dev holdout held heldout split fold partition role seen unseen insample
"""
_OF_MEMBERSHIP = frozenset(_MEMBERSHIP.split())
_OF_TRAINING = _OF_MEMBERSHIP & {"train", "training", "trained", "trainset", "member", "fold", "split"}
"""Words for columns that are copies even if only the people of one side have a value."""
_COVARIATES = """
site sites center centre scanner hospital clinic lab institution country city region cohort dataset study
project source vendor manufacturer machine field strength tesla coil protocol sequence software batch
repetition echo flip tr te
acquisition wave visit session sex gender diagnosis dx disease patient ethnicity race
"""
_OF_COVARIATES = frozenset(_COVARIATES.split())
_STEMS = tuple(word for word in _COVARIATES.split() if len(word) >= 4)
"""A word may also begin with one of these: sitenum, scannerid, manufacturers."""
_GROUPS = """
patient patients case cases control controls healthy hc hv cn nc mci ad ftd pd ms scz asd adhd mdd bd td
volunteer volunteers male female man woman
"""
_OF_GROUPS = frozenset(_GROUPS.split())
"""Levels of a diagnosis or of sex."""


def computed_from_predictions(
    covariates: pd.DataFrame,
    age: Float[np.ndarray, " scans"],
    prediction: Float[np.ndarray, " scans"],
    member: Bool[np.ndarray, " scans"],
) -> dict[str, str]:
    """Return the columns that were computed from the model's predictions, each with that reason.

    Examples are the brain-age gap, the gap corrected for age, its size or share, or labels derived from it. A
    column of numbers is one if a quadratic in age and prediction, or in a ratio of the two, explains all but
    a twentieth of what a quadratic in age alone leaves of its values, its squares (which undo an absolute
    value) or its products with age; the twentieth allows for rounding. So is a column whose levels, or
    numbers, are ordered like the gap, its size, or the prediction. A covariate that the model relies on
    fulfils neither. Columns whose levels each occur on one side of membership only are left to
    :func:`copies_of_membership`: if the gap reveals membership, they would agree with the gap, too.

    Parameters
    ----------
    covariates
        One row per scan: numbers, or text.
    age, prediction
        In years.
    member
        Of each scan.
    """
    return {
        str(name): COMPUTED
        for name, column in covariates.items()
        if _levels_of_sides(column, member) is None
        and (_follows(column, age, prediction) or _in_order(column, age, prediction))
    }


def computed_from_answers(
    covariates: pd.DataFrame,
    label: pd.Series,
    residual: Float[np.ndarray, " scans"],
    classes: tuple[str, ...],
    member: Bool[np.ndarray, " scans"],
) -> dict[str, str]:
    """Return the columns that were computed from a classifier's answers, each with that reason.

    Such as the probability of the right class, the loss, whether the answer is right, or the predicted class.
    By the first three, columns are ordered as by the residual. The predicted class is a column of class names
    that is right wherever the right one has more than half of the probability, and wrong wherever it has less
    than an equal share.

    Parameters
    ----------
    covariates
        One row per scan: numbers, or text.
    label
        Name of the class of each scan.
    residual
        Deviance residual of each scan: see :meth:`.TargetVariable.residual`.
    classes
        Names of the classes.
    member
        Of each scan.
    """
    nothing = np.zeros(len(residual))
    found = list(computed_from_predictions(covariates, nothing, -residual, member))
    probability = np.exp(-(residual**2) / 2)
    surely, never = probability > 0.5, probability < 1 / len(classes)
    enough = min(surely.sum(), never.sum()) >= _FEWEST_ANSWERS and (surely | never).sum() >= _FEWEST
    for name, column in covariates.items():
        if enough and column.isin(classes).all():
            right = (column.astype(str) == label.astype(str)).to_numpy()
            if right[surely].all() and not right[never].any():
                found.append(str(name))
    return dict.fromkeys(found, COMPUTED)


def _follows(column: pd.Series, age: np.ndarray, prediction: np.ndarray) -> bool:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return False
    values = column.to_numpy(float, na_value=np.nan)
    known = np.isfinite(values)
    if known.sum() < _FEWEST:
        return False
    y, a, p = (_standardised(x[known]) for x in (values, age, prediction))
    base = np.column_stack([np.ones(len(a)), a, a**2])
    full = np.column_stack([base, p, p**2, a * p])
    raw = values[known]
    if any(_explained(_standardised(z), base, full) for z in (y, raw**2, raw * age[known])):
        return True
    ratios = [np.column_stack([base, r, r**2]) for r in _ratios(age[known], prediction[known])]
    return any(_explained(_standardised(z), base, ratio) for z in (y, raw**2) for ratio in ratios)


def _ratios(age: np.ndarray, prediction: np.ndarray) -> list[np.ndarray]:
    """Return the error as a share of age, of the prediction, and of their mean."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [(prediction - age) / whole for whole in (age, prediction, age + prediction)]
    return [_standardised(share) for share in shares if np.isfinite(share).all()]


def _standardised(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    spread = values.std()
    centred = values - values.mean()
    return np.asarray(centred / spread if spread > 0 else centred)


def _explained(y: np.ndarray, base: np.ndarray, full: np.ndarray) -> bool:
    """Return whether the other columns explain nearly all that the base leaves of a standardised column."""
    alone, both = (float(np.sum((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2)) for x in (base, full))
    # A column that age alone explains adds nothing to age, which is a covariate itself.
    return alone > 1e-6 * len(y) and both < (1 - _EXPLAINED) * alone


def _in_order(column: pd.Series, age: np.ndarray, prediction: np.ndarray) -> bool:
    """Return whether a column is a step function of the gap, its size or the prediction, and not of age."""
    known = column.notna().to_numpy()
    levels, names = pd.factorize(column[known])
    count = np.bincount(levels)
    if known.sum() < _FEWEST or len(count) < 2:
        return False
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    if len(count) > _MOST_LEVELS and not numeric:
        return False
    # The probability that levels of these sizes form runs by chance, in any order of the levels.
    orders = special.gammaln(known.sum() + 1) - special.gammaln(count + 1).sum()
    if orders - special.gammaln(len(count) + 1) < _UNLIKELY:
        return False
    gap = prediction - age
    codes = pd.factorize(names, sort=True)[0][levels] if numeric else levels
    if _runs(codes, age[known], numeric):
        return False
    return any(_runs(codes, by[known], numeric) for by in (gap, np.abs(gap), prediction))


def _runs(codes: np.ndarray, by: np.ndarray, numeric: bool) -> bool:
    """Return whether each level forms one run after sorting; numbers must rise or fall throughout."""
    # For ties of the key, the order that favours a run is used.
    step = np.diff(codes[np.lexsort((codes, by))])
    if numeric:
        return bool((step >= 0).all()) or bool((np.diff(codes[np.lexsort((-codes, by))]) <= 0).all())
    return int(np.count_nonzero(step)) == len(np.unique(codes)) - 1


def copies_of_membership(covariates: pd.DataFrame, member: Bool[np.ndarray, " scans"]) -> dict[str, str]:
    """Return the columns that are membership under another name, each with that reason.

    A column whose levels each occur on one side only may be a copy of membership, or the site that all
    members come from, which is a confounder. The numbers are the same in both cases, so words decide. Levels
    such as train and test, or a name such as split, make it a copy. A name such as site, scanner, sex or
    diagnosis makes it a covariate, and so do levels such as patient and control. A column of two levels
    without any such word is refused. A column with a name of training, such as the fold of each member, is
    also a copy if it is empty for all people of the other side.

    Parameters
    ----------
    covariates
        One row per scan: numbers, or text.
    member
        Of each scan.

    Raises
    ------
    BadInputError
        If two levels equal membership, and neither name nor levels say what the column is.
    """
    copies = {}
    for name, column in covariates.items():
        named = _words([str(name)])
        of_people = any(word in _OF_COVARIATES or word.startswith(_STEMS) for word in named)
        levels = _levels_of_sides(column, member)
        if levels is None:
            if named & _OF_TRAINING and not of_people and _stated_of_one_side(column, member):
                copies[str(name)] = COPY
        elif all(_words([level]) & _OF_MEMBERSHIP for level in levels):
            copies[str(name)] = COPY
        elif of_people or all(_words([level]) & _OF_GROUPS for level in levels):
            continue
        elif named & _OF_MEMBERSHIP:
            copies[str(name)] = COPY
        elif len(levels) == 2:
            raise BadInputError(
                f"column {name!r} equals membership: {levels[0]!r} on one side, {levels[1]!r} on the other; "
                "if it only repeats membership, remove it; if members and non-members come from two "
                'groups, name it after them, such as "site" or "diagnosis": then it is a covariate'
            )
    return copies


def _stated_of_one_side(column: pd.Series, member: np.ndarray) -> bool:
    """Return whether a column has values for people on one side only, and for nearly all of them."""
    known = column.notna().to_numpy()
    return any(not known[side].any() and known[~side].mean() >= _STATED for side in (member, ~member))


def _levels_of_sides(column: pd.Series, member: np.ndarray) -> list[str] | None:
    """Return the levels of a column if each occurs on one side of membership only, else None."""
    levels, names = pd.factorize(column)
    known = levels >= 0
    if not 2 <= len(names) <= min(_MOST_LEVELS, len(column) / 5) or known.mean() < _STATED:
        return None
    inside = np.bincount(levels[known], member[known], minlength=len(names))
    total = np.bincount(levels[known], minlength=len(names))
    one_sided = (inside == 0) | (inside == total)
    if not one_sided.all() or (inside > 0).all() or (inside == 0).all():
        return None
    return [f"{level:g}" if isinstance(level, float) else str(level) for level in names]


def _words(texts: Iterable[str]) -> set[str]:
    """Return the words of names such as "in_training", "trainSet" or "held-out", in lower case."""
    spaced = (re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text) for text in texts)
    return {word for text in spaced for word in re.findall(r"[a-z]+", text.lower())}
