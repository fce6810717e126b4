"""Does an imported network give the predictions that its makers have of the same scans?

A network that gets other images than it was trained on predicts members no better than anybody else, and so
looks harmless. Its makers' own predictions show whether it gets the right ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.cohort import Cohort
from memberscan.cohort.answers import answer_columns, answers_in, needs_in_words
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import MemberscanError, ModelError, PredictionsError
from memberscan.models.inputs import predict_scans
from memberscan.runs.run import Reproduced

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import nn

TOLERANCE = 0.1
"""Largest difference of ages that is accepted, years, besides that of rounding in the file. Reduced precision
of a graphics card changes predictions by a few hundredths of a year, other images by years."""
OF_SPREAD, OF_PROBABILITY = 0.01, 0.02
"""The same of other numbers, in standard deviations of the target; and of probabilities of classes."""
_ID_COLUMNS = ("scan_id", "subject_id", "subject", "participant_id")
_STRAIGHT = 0.9999
"""Predictions that correlate so closely with those of the file are the same in another unit."""


def require_reproduces(network: nn.Module, cohort: Cohort, path: Path, source: str) -> Reproduced:
    """Compare a network's predictions with a file of those that its makers have.

    Parameters
    ----------
    network
        With its weights.
    cohort
        Has the scans.
    path
        TSV or CSV with the columns scan_id or subject_id, and prediction, or p_CLASS of each class, of some
        or all scans.
    source
        Name of the network in errors.

    Raises
    ------
    PredictionsError
        If the file cannot be read, or has ids that are not in the cohort.
    ModelError
        If a prediction differs by more than :data:`TOLERANCE`.
    """
    written = _read(path, cohort)
    expected, variable = written.to_numpy(float), cohort.target
    found = predict_scans(network, cohort, written.index.tolist())[:, 0]
    if variable.classes:
        expected, found = np.exp(expected), np.exp(found)
    difference = np.abs(found - expected)
    allowed = _tolerance(cohort) + _rounding(expected)
    if (difference <= allowed).all():
        return Reproduced(len(written), float(difference.max()))
    wrong = int((~(difference <= allowed)).sum())
    worst = np.argsort(-np.nan_to_num(difference, nan=np.inf))[:3]
    named = "; ".join(f"{written.index[k]} is {expected[k]:.2f} there and {found[k]:.2f} here" for k in worst)
    raise ModelError(
        f"{source} does not reproduce {path}: {wrong} of {len(written)} predictions differ by more than "
        f"{allowed:.2g} {variable.unit or 'in the probability of the own class'} ({named}). "
        f"{_advice(found, expected)}"
    )


def _tolerance(cohort: Cohort) -> float:
    if cohort.target.classes:
        return OF_PROBABILITY
    return TOLERANCE if cohort.target.is_age else OF_SPREAD * float(cohort.labels.std())


def _read(path: Path, cohort: Cohort) -> pd.Series:
    """Return the predictions of a file by scan id, without scans that the cohort excluded."""
    try:
        table = read_text_table(path)
    except MemberscanError as error:
        raise PredictionsError(str(error)) from error
    names = [name for name in _ID_COLUMNS if name in table]
    columns = answer_columns(cohort.target)
    if not names or not {*columns} <= {*table.columns}:
        raise PredictionsError(
            f"{path} has the columns {', '.join(table.columns)}; it needs scan_id or subject_id, and "
            f"{needs_in_words(cohort.target)}"
        )
    ids = table[names[0]]
    if ids.duplicated().any():
        raise PredictionsError(f"{path}: {ids[ids.duplicated()].iloc[0]!r} is in more than one row")
    excluded = set(cohort.excluded[["scan_id", "subject_id"]].to_numpy().ravel())
    kept = table[~ids.isin(excluded)]
    scans = _scans_of(path, kept[names[0]], cohort)
    numbers = answers_in(kept, cohort.target, cohort.labels[scans].to_numpy(float))
    if (bad := ~np.isfinite(numbers)).any():
        place = int(bad.argmax())
        cells, unit = ", ".join(kept[columns].iloc[place]), cohort.target.unit
        raise PredictionsError(
            f"{path}: the prediction of {scans[place]!r} is {cells!r}; it must "
            + (f"be a number, in {unit}" if unit else "be probabilities with sum 1")
        )
    return pd.Series(numbers, index=scans)


def _scans_of(path: Path, ids: pd.Series, cohort: Cohort) -> list[str]:
    """Return the scan of each id, which is a scan's or that of a subject with one scan."""
    single = cohort.scans["subject_id"].drop_duplicates(keep=False)
    known = {scan: scan for scan in cohort.scans.index} | {
        subject: scan for scan, subject in single.items() if subject not in cohort.scans.index
    }
    if unknown := [name for name in ids if name not in known]:
        raise PredictionsError(
            f"{path}: {len(unknown)} of {len(ids)} ids are neither scans of {cohort.path} nor subjects with "
            f"one scan, such as {', '.join(map(repr, unknown[:3]))}; write them as its scans.tsv does"
        )
    if ids.empty:
        raise PredictionsError(f"{path} has no prediction of a scan of {cohort.path}")
    return [known[name] for name in ids]


def _rounding(values: Float[np.ndarray, " n"]) -> float:
    """Return half a unit in the last of the decimals that values are written with, up to a half."""
    decimals = next((d for d in range(6) if np.allclose(values, values.round(d), rtol=0, atol=1e-9)), 6)
    return float(0.5 * 10.0**-decimals)


def _advice(found: Float[np.ndarray, " n"], expected: Float[np.ndarray, " n"]) -> str:
    if len(found) > 2 and np.isfinite(found).all() and min(np.ptp(found), np.ptp(expected)) > 0:
        slope, start = np.polyfit(found, expected, 1)
        if np.corrcoef(found, expected)[0, 1] > _STRAIGHT:
            return (
                f"They are the same in another unit: {slope:.4g} times this output plus {start:.4g}. Do that "
                "in the network's forward()"
            )
    return (
        "It probably gets other images than when those were made: build the cohort from the same files with "
        "--as-is, and do in the network what your own code does to an image before the network"
    )
