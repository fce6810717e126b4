"""Build a cohort from a table of regional measures (cortical thickness, volumes), one row per scan."""

from __future__ import annotations

import io
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.cohort import manifest
from memberscan.cohort.ages import age_problem, parse_age, unit_problem
from memberscan.cohort.build import shared_content
from memberscan.cohort.covariates import names_rows, typed
from memberscan.cohort.ids import alike, is_nobody, same_person
from memberscan.cohort.text_table import is_nameless, read_text_table
from memberscan.errors import BadInputError, CohortError, ParticipantsError
from memberscan.received import read_limited


def build_from_table(csv: Path, path: Path, *, subject: str, age: str, covariates: tuple[str, ...]) -> None:
    """Build a cohort from a CSV or TSV.

    A subject with several rows has several scans, named "id", "id#2", "id#3" in the order of the file. All
    numeric columns except the age and the covariates are features; columns of text, columns without a name,
    and columns that only number the rows are listed as ignored. A row is excluded if it has no id, a missing
    feature or no plausible age, or if all its features equal those of a row of another subject.

    Parameters
    ----------
    csv
        The table.
    path
        The cohort directory.
    subject, age
        Columns with the subject's id and the age in years.
    covariates
        Columns that describe the scan, or its scanner, and are not features.

    Raises
    ------
    BadInputError
        If a named column does not exist, or is named twice.
    CohortError
        If there is no feature, or every row is excluded.
    ParticipantsError
        If the file cannot be read as a table, a column holds numbers except for a few cells, ages are not in
        years, or two ids are probably one person.
    """
    started = time.perf_counter()
    table = read_text_table(csv)
    _check_columns(csv, table, [subject, age, *covariates])
    values = typed(table.drop(columns=[subject, age]), csv)
    features, texts = _split_features(values.drop(columns=list(covariates)))
    if features.empty:
        raise CohortError(
            f"{csv} has no numeric column besides {', '.join([subject, age, *covariates])}; "
            "add columns of numbers, which become the features"
        )
    scans = _describe(table[subject], table[age])
    _check_people(csv, scans, subject, age)
    inputs = files.fingerprint(read_limited(csv, files.TABLE_LIMIT))
    request: dict[str, Any] = {"command": "cohort table", "table": str(csv.resolve())}
    request |= {"subject": subject, "age": age, "covariates": list(covariates)}
    with manifest.claim(path, request, inputs) as finished:
        if not finished:
            described = values[list(covariates)]
            _finish(path, scans, features, described, texts, source=f"table {csv.name}", inputs=inputs)
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


def _check_columns(csv: Path, table: pd.DataFrame, named: list[str]) -> None:
    missing = [name for name in named if name not in table.columns]
    if missing:
        raise BadInputError(
            f"{csv} has no column {', '.join(map(repr, missing))}; it has: {', '.join(table.columns[:30])}"
            + (f" and {len(table.columns) - 30} more" if len(table.columns) > 30 else "")
        )
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise BadInputError(
            f"column {twice[0]!r} is named twice; subject, age and covariates must all differ"
        )
    if table.empty:
        raise CohortError(f"{csv} has a header but no rows; give a table with at least one row per scan")


def _check_people(csv: Path, scans: pd.DataFrame, subject: str, age: str) -> None:
    if problem := unit_problem(scans["age"].to_numpy(float)):
        raise ParticipantsError(f"{csv}: {problem}; give column {age!r} in years")
    ids = scans["subject_id"][~is_nobody(scans["subject_id"])].unique().tolist()
    if pairs := alike(ids):
        raise ParticipantsError(
            f"{csv}: in column {subject!r}, {same_person(pairs[0])}; write each person's id in one way"
        )


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


def _describe(subjects: pd.Series, written: pd.Series) -> pd.DataFrame:
    ages = [parse_age(text) for text in written]
    return pd.DataFrame(
        {
            "scan_id": _scan_ids(subjects.tolist()),
            "subject_id": subjects,
            "session": "",
            "age": [age.years for age in ages],
            "age_note": [age.note for age in ages],
            "age_problem": [age_problem(text, age) for text, age in zip(written, ages, strict=True)],
        }
    )


def _scan_ids(subjects: list[str]) -> list[str]:
    """Return unique scan ids: the subject's id for its first row, then "id#2", "id#3", skipping used ids."""
    taken, count, ids = set(subjects), Counter[str](), []
    for subject in subjects:
        count[subject] += 1
        scan = subject if count[subject] == 1 else f"{subject}#{count[subject]}"
        while count[subject] > 1 and scan in taken:
            count[subject] += 1
            scan = f"{subject}#{count[subject]}"
        taken.add(scan)
        ids.append(scan)
    return ids


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
