"""A table of predictions, from a model that nobody shows us, as signals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan.cohort.cells import is_missing, missing_as_nan
from memberscan.cohort.covariates import as_covariate, select_covariates
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import DataLeakageError, MemberscanError, PredictionsError
from memberscan.signals.signals import PREDICTION, Signals

REQUIRED = ("subject_id", "age", "prediction", "member")
_TRUE = {"1", "true", "yes", "member", "1.0"}
_FALSE = {"0", "false", "no", "non-member", "nonmember", "0.0"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a predictions file holds: signals by scan, membership by subject, covariates by scan."""

    signals: Signals
    member: pd.Series
    covariates: pd.DataFrame
    ignored: tuple[str, ...]


def read_predictions(path: Path) -> Predictions:
    """Read a TSV or CSV with the columns subject_id, age, prediction, member, and optionally scan_id.

    Every other column is a covariate; one of text with over 20 levels is named and ignored.

    Raises
    ------
    PredictionsError
        If columns are missing, ids repeat, a number is none, an age is missing, or there is one class only.
    DataLeakageError
        If a subject is both a member and a non-member.
    NonFiniteError
        If a prediction is NaN or infinite.
    """
    try:
        table = read_text_table(path)
    except MemberscanError as error:
        raise PredictionsError(str(error)) from error
    if missing := [name for name in REQUIRED if name not in table]:
        raise PredictionsError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns)}; "
            f"needed are {', '.join(REQUIRED)}"
        )
    if table.empty:
        raise PredictionsError(f"{path} has a header and no rows; write one row a scan")
    ids = "scan_id" if "scan_id" in table else "subject_id"
    if (twice := table[ids].duplicated()).any():
        hint = "" if ids == "scan_id" else "; repeat scans of a subject need a column scan_id"
        raise PredictionsError(
            f"{path}: {ids} {table[ids][twice].iloc[0]!r} stands in more than one row{hint}"
        )
    table = table.set_index(pd.Index(table[ids], name="scan_id"))
    if (nameless := table["subject_id"].str.strip().eq("")).any():
        raise PredictionsError(
            f"{path}: scan {table.index[nameless][0]!r} has no subject_id; every row needs one"
        )
    age, prediction = _numbers(path, table["age"]), _numbers(path, table["prediction"])
    if (unusable := ~np.isfinite(age)).any():
        raise PredictionsError(
            f"{path}: scan {table.index[unusable][0]!r} has no age; leave it out or find its age"
        )
    scans = pd.DataFrame({"subject_id": table["subject_id"], "age": age})
    signals = Signals(scans, {PREDICTION: prediction.to_numpy(float)})
    kept, ignored = select_covariates(missing_as_nan(table), exclude=(*REQUIRED, "scan_id"))
    covariates = missing_as_nan(table)[list(kept)].apply(as_covariate)
    return Predictions(signals, _membership(path, table), covariates, ignored)


def _numbers(path: Path, column: pd.Series) -> pd.Series:
    """Return a column as floats, missing values as NaN; the caller knows whether one may be missing."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = numbers.isna() & ~is_missing(column)
    if bad.any():
        raise PredictionsError(
            f"{path}: column {column.name} holds {column[bad].iloc[0]!r} (scan {column.index[bad][0]!r}); "
            "it must hold numbers"
        )
    return numbers


def _membership(path: Path, table: pd.DataFrame) -> pd.Series:
    written = table["member"].str.strip().str.lower()
    if (unknown := ~written.isin(_TRUE | _FALSE)).any():
        raise PredictionsError(
            f"{path}: column member holds {table['member'][unknown].iloc[0]!r}; "
            "write 1 for members and 0 for non-members"
        )
    member = written.isin(_TRUE)
    by_subject = member.groupby(table["subject_id"], sort=False)
    both = by_subject.nunique() > 1
    if both.any():
        raise DataLeakageError(
            f"{path}: subject {both.index[both][0]!r} is both a member and a non-member; "
            "every subject is on one side"
        )
    sides = by_subject.first()
    if sides.nunique() < 2:
        which = "members" if sides.all() else "non-members"
        raise PredictionsError(f"{path} holds {which} only; an audit compares members with non-members")
    return sides
