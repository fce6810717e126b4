"""Read a table of predictions, for audits without the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.cohort.ages import MAXIMUM_AGE, Age, age_problem, unit_problem
from memberscan.cohort.answers import (
    PREDICTION,
    answer_columns,
    answers_about_copies,
    answers_in,
    copy_columns,
)
from memberscan.cohort.cells import is_missing
from memberscan.cohort.covariates import select_covariates, typed
from memberscan.cohort.ids import alike, is_nobody, same_person
from memberscan.cohort.target_column import Asked, labels_of, variable_of
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import (
    BadInputError,
    DataLeakageError,
    MemberscanError,
    NonFiniteError,
    PredictionsError,
)
from memberscan.target_variable import AGE, TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Float

_IDS = ("subject_id", "member")
_OWN = (*_IDS, "scan_id", PREDICTION)
_SMALL_CODES = (-1.0, -9.0)
_CODES = (*_SMALL_CODES, -77.0, -88.0, -99.0, -777.0, -888.0, -999.0, -9999.0, 777.0, 888.0, 999.0, 9999.0)
_ENOUGH = 30
"""With this many predictions with decimals, a code for "missing" cannot be a young child's age."""
_MANY = 20_000
"""Above this number of scans, only a sample is searched for people who are on both sides."""
_FEWEST_TWINS, _TWINS, _REPEATED = 10, 0.2, 0.05
"""At this number and share of the smaller side, equal rows are refused, unless rows repeat within a side."""
_TRUE = {"1", "true", "yes", "member", "1.0"}
_FALSE = {"0", "false", "no", "non-member", "nonmember", "0.0"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a predictions file holds.

    Parameters
    ----------
    scans
        Indexed by scan id: ``subject_id`` and ``label``, the true value of the target variable.
    predictions
        Of each scan; of classes, the log-probability of its own class.
    member
        By subject id.
    covariates
        By scan.
    ignored
        Columns that are not used.
    variable
        What the model predicts.
    answers
        The columns with the model's answers, as written: prediction, or a probability of each class.
    copies
        The same as ``predictions`` of changed copies of each scan; None if the file has none.
    """

    scans: pd.DataFrame
    predictions: Float[np.ndarray, " scans"]
    member: pd.Series
    covariates: pd.DataFrame
    ignored: tuple[str, ...]
    variable: TargetVariable
    answers: pd.DataFrame
    copies: Float[np.ndarray, "scans copies"] | None


def read_predictions(path: Path, asked: Asked = Asked()) -> Predictions:
    """Read a TSV or CSV with the columns subject_id, age, prediction, member, and optionally scan_id.

    For another target than age, its own column is in the place of age, which becomes a covariate where it is
    given. For classes, the columns p_CLASS with the probability of each are in the place of prediction.
    Columns such as copy_1_prediction hold predictions of changed copies of each scan.

    Every other column is a covariate by :func:`memberscan.cohort.covariates.select_covariates`; the rest are
    named and ignored.

    Parameters
    ----------
    path
        The file.
    asked
        What the model predicts: see :func:`memberscan.cohort.target_column.variable_of`.

    Raises
    ------
    BadInputError
        If the column of the target does not fit its unit or classes.
    PredictionsError
        If columns are missing, ids repeat or two are probably one person, a number cannot be read, an age
        is missing or not in years, or there is one class only.
    DataLeakageError
        If a subject is both a member and a non-member, perhaps under two ids, even unlike ones.
    NonFiniteError
        If a prediction is NaN or infinite.
    """
    try:
        table = read_text_table(path)
    except MemberscanError as error:
        raise PredictionsError(str(error)) from error
    target = asked.name
    if target in _OWN:
        raise BadInputError(f"--target {target}: that column has another meaning in a file of predictions")
    # Which columns hold the answers follows from the target's column, except for age.
    expected = [PREDICTION] if asked.unit or target == AGE.name else []
    _require_columns(path, table, ["subject_id", target, *expected, "member"])
    if table.empty:
        raise PredictionsError(f"{path} has a header and no rows; write one row per scan")
    table = _indexed(path, table)
    column = table[target] if asked == Asked() else table[target].mask(is_missing(table[target]))
    variable = variable_of(column, *asked)
    answers = answer_columns(variable)
    _require_columns(path, table, [*_IDS, target, *answers])
    label = _ages(path, table[target]) if variable.is_age else _labels(path, column, variable)
    scans = pd.DataFrame({"subject_id": table["subject_id"], "label": label})
    if variable.classes:
        predictions = _probabilities(path, table, variable, label)
    else:
        predictions = _numbers(path, table["prediction"])
        _require_no_codes(path, predictions)
    _require_finite(predictions)
    copies, columns = _copies(path, table, variable, label)
    values = _others(path, table, [*_IDS, target, *answers, *columns])
    kept, ignored = select_covariates(values)
    member = _membership(path, table)
    found = predictions.to_numpy(float)
    _require_no_twins(path, scans, found, scans["subject_id"].map(member).to_numpy(bool), target)
    return Predictions(scans, found, member, values[list(kept)], ignored, variable, table[answers], copies)


def _require_columns(path: Path, table: pd.DataFrame, needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in table]:
        raise PredictionsError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns)}; "
            f"the file needs {', '.join(needed)}"
        )


def _labels(path: Path, column: pd.Series, variable: TargetVariable) -> pd.Series:
    """Return numbers, or positions of classes; every scan needs one."""
    label = labels_of(column, variable)
    if (lacking := label.isna()).any():
        raise PredictionsError(
            f"{path}: scan {label.index[int(lacking.argmax())]!r} has no value of {variable.name!r}; "
            "leave the scan out, or give it"
        )
    return label


def _probabilities(path: Path, table: pd.DataFrame, variable: TargetVariable, label: pd.Series) -> pd.Series:
    found = answers_in(table, variable, label.to_numpy(float))
    if (bad := np.isnan(found)).any():
        place = int(bad.argmax())
        written = ", ".join(table[answer_columns(variable)].iloc[place])
        raise PredictionsError(
            f"{path}: scan {label.index[place]!r} has the probabilities {written}; give one of each "
            "class, from 0 to 1, with sum 1"
        )
    return pd.Series(found, index=label.index)


def _copies(
    path: Path, table: pd.DataFrame, variable: TargetVariable, label: pd.Series
) -> tuple[Float[np.ndarray, "scans copies"] | None, list[str]]:
    """Return predictions of changed copies, and the columns that hold them."""
    try:
        found = answers_about_copies(table, variable, label.to_numpy(float))
        columns = [name for copy in copy_columns(table.columns, variable) for name in copy]
    except MemberscanError as error:
        raise PredictionsError(f"{path}: {error}") from error
    if found is not None and not np.isfinite(found).all():
        scan = label.index[int(np.argmin(np.isfinite(found).all(axis=1)))]
        raise PredictionsError(
            f"{path}: a prediction of a copy of scan {scan!r} is no number, or its probabilities do not have "
            "sum 1; give all of them, or leave the copies out"
        )
    return found, columns


def _indexed(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table indexed by scan id, after checking that every row has ids."""
    ids = "scan_id" if "scan_id" in table else "subject_id"
    for name in dict.fromkeys(("subject_id", ids)):
        if (nameless := is_nobody(table[name])).any():
            row = int(nameless.argmax())
            raise PredictionsError(
                f"{path}: row {row + 2} has no {name} (written {table[name].iloc[row]!r}); "
                "write one in every row"
            )
    if (twice := table[ids].duplicated()).any():
        hint = "" if ids == "scan_id" else "; repeat scans of a subject need a column scan_id"
        raise PredictionsError(f"{path}: {ids} {table[ids][twice].iloc[0]!r} is in more than one row{hint}")
    return table.set_index(pd.Index(table[ids], name="scan_id"))


def _others(path: Path, table: pd.DataFrame, used: Sequence[str]) -> pd.DataFrame:
    """Return the other columns, with numbers as floats."""
    try:
        return typed(table.drop(columns=[*used, "scan_id"], errors="ignore"), path)
    except MemberscanError as error:
        raise PredictionsError(str(error)) from error


def _ages(path: Path, written: pd.Series) -> pd.Series:
    """Return ages in years, by the rules of a cohort; here a scan without one is an error."""
    ages = _numbers(path, written)
    if problem := unit_problem(ages.to_numpy(float)):
        raise PredictionsError(f"{path}: {problem}; give the columns age and prediction in years")
    if (unusable := ~ages.between(0, MAXIMUM_AGE)).any():
        place = int(unusable.argmax())
        problem = age_problem(written.iloc[place], Age(ages.iloc[place]))
        raise PredictionsError(
            f"{path}: scan {written.index[place]!r} has {problem.replace('impl', 'an impl')}; "
            "leave the scan out, or give its age"
        )
    return ages


def _numbers(path: Path, column: pd.Series) -> pd.Series:
    """Return a column as floats, missing values as NaN; the caller checks whether values may be missing."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    failed = column[numbers.isna()]
    if (bad := ~is_missing(failed)).any():
        raise PredictionsError(
            f"{path}: column {column.name} holds {failed[bad].iloc[0]!r} (scan {failed.index[bad][0]!r}); "
            "it must hold numbers, with a decimal point"
        )
    return numbers


def _require_finite(predictions: pd.Series) -> None:
    bad = ~np.isfinite(predictions.to_numpy(float))
    if bad.any():
        raise NonFiniteError(
            f"{int(bad.sum())} of {len(bad)} predictions are NaN or infinite; "
            "an audit of the rest would hide the people the model fails on; fix the model or the file"
        )


def _require_no_codes(path: Path, predictions: pd.Series) -> None:
    """Refuse predictions that are codes for "missing" and lie outside the range of all others."""
    coded = predictions.isin(_CODES)
    rest = predictions[~coded]
    if len(rest) < _ENOUGH or (rest % 1 == 0).all():
        coded &= ~predictions.isin(_SMALL_CODES)
    coded &= ~predictions.between(rest.min(), rest.max())
    if coded.any() and len(rest):
        raise PredictionsError(
            f"{path}: the prediction of scan {predictions.index[coded][0]!r} is "
            f"{predictions[coded].iloc[0]:g}, a code for a missing one; "
            "predict it, or leave the scan out and report that"
        )


def _require_no_twins(
    path: Path, scans: pd.DataFrame, predictions: np.ndarray, member: np.ndarray, name: str
) -> None:
    """Refuse members who are listed again as non-members under unrelated ids.

    They are recognised by equal labels and predictions. If these are rounded so much that they also repeat
    within a side, nothing is refused.
    """
    pairs = scans["label"].to_numpy(float) + 1j * predictions
    # Of very many rows, a sample chosen by a hash of label and prediction: of two equal rows it takes both or
    # neither. The odd constants mix the bits of the two numbers.
    bits = pairs.view(np.uint64).reshape(-1, 2) * np.array(
        [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64
    )
    chosen = (bits[:, 0] ^ bits[:, 1]) >> np.uint64(40)
    few = chosen % np.uint64(1 + len(pairs) // _MANY) == 0
    sides = [pairs[few & member], pairs[few & ~member]]
    if not min(map(len, sides)):
        return
    inside, outside = (np.unique(side) for side in sides)
    repeated = max(1 - len(inside) / len(sides[0]), 1 - len(outside) / len(sides[1]))
    same = np.intersect1d(inside, outside, assume_unique=True)
    if repeated <= _REPEATED and len(same) >= max(_FEWEST_TWINS, _TWINS * min(map(len, sides))):
        names = scans.index[pairs == same[0]][:2].tolist()
        raise DataLeakageError(
            f"{path}: {len(same)} members and non-members have the same {name} and prediction to the last "
            f"digit, such as {names[0]!r} and {names[1]!r}: they are probably the same scans under two "
            "ids; every subject is on one side"
        )


def _membership(path: Path, table: pd.DataFrame) -> pd.Series:
    codes, levels = pd.factorize(table["member"])
    written = [level.lower() for level in levels.tolist()]
    for level, lower in zip(levels.tolist(), written, strict=True):
        if lower not in _TRUE | _FALSE:
            raise PredictionsError(
                f"{path}: column member holds {level!r}; write 1 for members and 0 for non-members"
            )
    member = np.array([lower in _TRUE for lower in written])[codes]
    of, subjects = pd.factorize(table["subject_id"])
    inside = np.bincount(of, member)
    both = (inside > 0) & (inside < np.bincount(of))
    if both.any():
        raise DataLeakageError(
            f"{path}: subject {subjects[both][0]!r} is both a member and a non-member; "
            "every subject is on one side"
        )
    sides = pd.Series(inside > 0, index=pd.Index(subjects, name="subject_id"), name="member")
    _require_distinct(path, sides)
    if sides.nunique() < 2:
        which = "members" if sides.all() else "non-members"
        raise PredictionsError(f"{path} holds {which} only; an audit compares members with non-members")
    return sides


def _require_distinct(path: Path, sides: pd.Series) -> None:
    """Refuse ids that are probably one person, who would count twice, or on both sides would hide a leak."""
    pairs = alike(sides.index.to_numpy(object).tolist())
    if not pairs:
        return
    across = [pair for pair in pairs if sides[pair[0]] != sides[pair[1]]]
    message = f"{path}: subjects {same_person((across or pairs)[0])}; "
    if across:
        raise DataLeakageError(
            message + "one is a member and the other a non-member: every subject is on one side, under one id"
        )
    raise PredictionsError(message + "write each person's id in one way")
