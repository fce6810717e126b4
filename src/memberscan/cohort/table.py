"""Build a cohort from a table of regional measures (cortical thickness, volumes), one row per scan."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.cohort import manifest
from memberscan.cohort.build import shared_content
from memberscan.cohort.covariates import names_rows, typed
from memberscan.cohort.ids import is_nobody
from memberscan.cohort.people_table import read_people_table
from memberscan.cohort.text_table import is_nameless
from memberscan.errors import BadInputError, CohortError
from memberscan.received import read_limited


def build_from_table(
    csv: Path,
    path: Path,
    *,
    subject: str,
    age: str,
    covariates: tuple[str, ...],
    features: tuple[str, ...] = (),
) -> None:
    """Build a cohort from a CSV or TSV.

    A subject with several rows has several scans, named "id", "id#2", "id#3" in the order of the file. If no
    features are named, all numeric columns except the age and the covariates are features; columns of text,
    columns without a name, and columns that only number the rows are listed as ignored. A row is excluded if
    it has no id, a missing feature or no plausible age, or if all its features equal those of a row of
    another subject.

    Parameters
    ----------
    csv
        The table.
    path
        The cohort directory.
    subject, age
        Columns with the subject's id and the age in years.
    covariates
        Columns that describe the scan, or its scanner, and are not features. If features are named and no
        covariates, these are all other columns that can be.
    features
        Columns that are features, in this order; a network gets them so.

    Raises
    ------
    BadInputError
        If a named column does not exist, is named twice, or is a feature without numbers.
    CohortError
        If there is no feature, or every row is excluded.
    ParticipantsError
        If the file cannot be read as a table, a column holds numbers except for a few cells, ages are not in
        years, or two ids are probably one person.
    """
    started = time.perf_counter()
    table, scans = read_people_table(csv, subject, age, [*features, *covariates])
    values = typed(table.drop(columns=[subject, age]), csv)
    if features:
        taken = _named_features(csv, values, features)
        texts: list[str] = []
        covariates = covariates or tuple(name for name in values.columns if name not in features)
    else:
        taken, texts = _split_features(values.drop(columns=list(covariates)))
    if taken.empty:
        raise CohortError(
            f"{csv} has no numeric column besides {', '.join([subject, age, *covariates])}; "
            "add columns of numbers, which become the features"
        )
    inputs = files.fingerprint(read_limited(csv, files.TABLE_LIMIT))
    request: dict[str, Any] = {"command": "cohort table", "table": str(csv.resolve())}
    request |= {"subject": subject, "age": age, "covariates": list(covariates)}
    if features:
        request["features"] = list(features)
    with manifest.claim(path, request, inputs) as finished:
        if not finished:
            described = values[list(covariates)]
            _finish(path, scans, taken, described, texts, source=f"table {csv.name}", inputs=inputs)
            manifest.log_time(path, "table", len(table), time.perf_counter() - started)


def _finish(
    path: Path,
    scans: pd.DataFrame,
    features: pd.DataFrame,
    values: pd.DataFrame,
    texts: list[str],
    *,
    source: str,
    inputs: str,
) -> None:
    """Write the features of the usable rows, and the tables of kept and excluded rows."""
    reasons = _reasons(scans, features)
    kept = reasons == ""
    described, ignored = manifest.split_covariates(values)
    rows = scans[kept].assign(row=np.arange(kept.sum()))
    stored = _npy_bytes(features[kept])
    files.write_bytes(path / manifest.FEATURES, stored, mode=files.OWNER_ONLY)
    facts = manifest.Facts(
        kind="table",
        shape=(features.shape[1],),
        dtype="float32",
        features=tuple(features.columns),
        covariates=described,
        ignored=(*ignored, *texts),
        source=source,
    )
    manifest.finish(
        path,
        pd.concat([rows, values.loc[kept, list(described)]], axis="columns"),
        list(zip(scans["scan_id"][~kept], scans["subject_id"][~kept], reasons[~kept], strict=True)),
        facts,
        content=files.fingerprint(stored),
        inputs=inputs,
    )


def _named_features(csv: Path, values: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the columns of these names as float32."""
    chosen = values[list(names)]
    if texts := [name for name in names if not pd.api.types.is_float_dtype(chosen[name].dtype)]:
        raise BadInputError(f"{csv}: column {texts[0]!r} holds no numbers, so it cannot be a feature")
    with np.errstate(over="ignore"):
        made: pd.DataFrame = chosen.astype(np.float32)
    return made


def _split_features(values: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the numeric columns as float32, and the names of the others; empty columns are not features."""
    numeric = {str(name): column for name, column in values.items() if _is_feature(str(name), column)}
    with np.errstate(over="ignore"):
        features = pd.DataFrame(numeric, index=values.index).astype(np.float32)
    return features, [name for name in values.columns if name not in numeric]


def _is_feature(name: str, column: pd.Series) -> bool:
    if is_nameless(name) or not pd.api.types.is_float_dtype(column.dtype):
        return False
    return bool(column.notna().any()) and not names_rows(name, column)


def _reasons(scans: pd.DataFrame, features: pd.DataFrame) -> pd.Series:
    """Return why each row is excluded, or "" if it is kept."""
    reasons = scans["age_problem"].copy()
    unusable = ~np.isfinite(features.to_numpy())
    first = features.columns[unusable.argmax(axis=1)]
    without = unusable.any(axis=1) & (reasons == "")
    reasons = reasons.mask(without, pd.Series([f"feature {name} is missing or not finite" for name in first]))
    reasons = reasons.mask(is_nobody(scans["subject_id"]), "no subject id")
    digests = [files.fingerprint(row.tobytes()) for row in features.to_numpy()]
    shared = shared_content(scans.assign(digest=digests)[reasons == ""], "the same features")
    return reasons.mask(scans["scan_id"].isin(shared), scans["scan_id"].map(shared))


def _npy_bytes(features: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    np.save(stream, features.to_numpy(dtype=np.float32), allow_pickle=False)
    return stream.getvalue()
