"""Read whom each row of a user's table describes: ids and ages, and what can be wrong with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from memberscan.cohort.ages import age_problem, parse_age, unit_problem
from memberscan.cohort.ids import alike, is_nobody, same_person
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import BadInputError, CohortError, ParticipantsError


def read_people_table(
    csv: Path, subject: str, age: str, others: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a CSV or TSV with one row per scan.

    A subject with several rows has several scans, named "id", "id#2", "id#3" in the order of the file.

    Parameters
    ----------
    csv
        The table.
    subject, age
        Columns with the subject's id and the age in years.
    others
        Other columns that must be there.

    Returns
    -------
    table, scans
        All cells as text; and for each row scan_id, subject_id, session, age, age_note and age_problem, which
        says why the age cannot be used.

    Raises
    ------
    BadInputError
        If a named column does not exist, or is named twice.
    CohortError
        If there is no row.
    ParticipantsError
        If the file cannot be read as a table, ages are not in years, or two ids are probably one person.
    """
    table = read_text_table(csv)
    _check_columns(csv, table, [subject, age, *others])
    scans = describe_rows(table[subject], table[age])
    _check_people(csv, scans, subject, age)
    return table, scans


def describe_rows(subjects: pd.Series, written: pd.Series) -> pd.DataFrame:
    """Return scan_id, subject_id, session, age, age_note and age_problem of each row."""
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
