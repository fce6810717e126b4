"""The participants of a BIDS dataset: their ages at each session, and their covariates."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan import received
from memberscan.cohort.ages import Age, parse_age, unit_problem, units_per_year
from memberscan.cohort.cells import MISSING
from memberscan.cohort.covariates import typed
from memberscan.cohort.matching import match_ids
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import BadInputError, ParticipantsError

_SESSION_COLUMNS = ("session_id", "session", "ses")
_OTHER_UNITS = re.compile(
    r"(?:\bin (?:\w+ )?|[(\[,;:/] ?)(months|weeks|days)\b(?! (?:after|before|since|from))"
    r"|\b(months|weeks|days)(?: old)?\W*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A unit in a description such as "Age in completed months", "age (weeks)" or "age at scan, days"."""


@dataclass(frozen=True)
class Participants:
    """The people of a dataset.

    Parameters
    ----------
    covariates
        All columns of participants.tsv except id and age, indexed by subject id ("sub-01").
    baseline
        Age as written and in years, by subject id, from participants.tsv.
    by_session
        The same by subject and session id, from the sessions.tsv files, or from participants.tsv if it has a
        row for each session. For a session listed here, this takes precedence over ``baseline``.
    per_session
        Whether participants.tsv has a row for each session. ``covariates`` are then indexed by subject and
        session ("sub-01_ses-1").
    """

    covariates: pd.DataFrame
    baseline: dict[str, tuple[str, Age]]
    by_session: dict[tuple[str, str], tuple[str, Age]]
    per_session: bool = False

    @classmethod
    def read(cls, bids: Path, sessions: Mapping[str, Collection[str]] | None = None) -> Participants:
        """Read the tables of a dataset.

        Parameters
        ----------
        bids
            The dataset.
        sessions
            The sessions on disk of each subject on disk. Ids in the tables that are spelled differently are
            replaced by these (:func:`memberscan.cohort.matching.match_ids`); by default ids stay unchanged.

        Raises
        ------
        ParticipantsError
            If a table is unreadable, lists a person or session twice, or has a column of numbers except for a
            few cells; if no table gives an age, or the ages are in another unit; or if an id could mean
            several subjects.
        """
        sessions = sessions or {}
        by_session = _read_sessions(bids, sessions)
        path = bids / "participants.tsv"
        if path.exists():
            table = _read_participants(path, sessions)
        elif by_session:
            table = pd.DataFrame(index=pd.MultiIndex.from_arrays([[], []]))
        else:
            raise ParticipantsError(f"{path} does not exist; add it, with columns participant_id and age")
        column = _age_column(table)
        if column is None and not by_session:
            names = ", ".join(map(str, table.columns)) or "nothing else"
            raise ParticipantsError(
                f'{path} has no column "age", only participant_id and {names}; add the ages, or call the '
                'column that gives them "age"'
            )
        ages = _ages(table[column], path.with_suffix(".json")) if column else {}
        if not any(math.isfinite(age.years) for _, age in (*ages.values(), *by_session.values())):
            cell = next((text for text, _ in ages.values() if text), "")
            written = f" (it holds {cell!r}, for instance)" if cell else ""
            raise ParticipantsError(
                f'no row of {path} gives an age; fill in the column "age"{written}, in years'
            )
        if problem := unit_problem(np.array([age.years for _, age in ages.values()])):
            raise ParticipantsError(f'{path}: {problem}; give "age" in years, or its "Units" in the JSON')
        covariates = typed(table.drop(columns=[column] if column else []), path)
        covariates.index = pd.Index([_row_name(*row) for row in table.index], dtype=str)
        return cls(
            covariates,
            {subject: age for (subject, session), age in ages.items() if not session},
            {row: age for row, age in ages.items() if row[1]} | by_session,
            per_session=any(session for _, session in table.index),
        )

    def age(self, subject_id: str, session: str) -> tuple[str, Age]:
        """Return the age of a subject at a session, as written and in years; ("", NaN) if none is given."""
        unknown = ("", Age(float("nan")))
        return self.by_session.get((subject_id, session), self.baseline.get(subject_id, unknown))

    def row(self, subject_id: str, session: str) -> str:
        """Return the row of ``covariates`` that describes a subject at a session, if there is one."""
        return _row_name(subject_id, session if self.per_session else "")


def _row_name(subject_id: str, session: str) -> str:
    return f"{subject_id}_{session}" if session else subject_id


def _read_participants(path: Path, sessions: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Read participants.tsv, indexed by subject and, where it has a row for each session, by session."""
    table = _read_ids(path, "participant_id", "sub-")
    subjects = table["participant_id"].map(
        match_ids(table["participant_id"], sessions, prefix="sub-", where=str(path))
    )
    table = table.drop(columns="participant_id")
    visits = pd.Series("", index=table.index)
    column = next((name for name in table.columns if str(name).lower() in _SESSION_COLUMNS), None)
    if column is not None:
        listed = _listed_sessions(path, _with_prefix(table[column], "ses-"), subjects, sessions)
        on_disk = any(visit in sessions.get(who, ()) for who, visit in zip(subjects, listed, strict=True))
        if on_disk or subjects.duplicated().any():
            visits, table = listed, table.drop(columns=column)
    table.index = pd.MultiIndex.from_arrays([subjects, visits])
    return _once(path, table)


def _listed_sessions(
    path: Path, written: pd.Series, subjects: pd.Series, sessions: Mapping[str, Collection[str]]
) -> pd.Series:
    """Return the session of each row, with the name it has on disk."""
    listed = written.copy()
    for subject, own in written.groupby(subjects):
        found = sessions.get(str(subject), ())
        listed[own.index] = own.map(match_ids(own, found, prefix="ses-", where=str(path)))
    return listed


def _read_sessions(
    bids: Path, sessions: Mapping[str, Collection[str]]
) -> dict[tuple[str, str], tuple[str, Age]]:
    ages: dict[tuple[str, str], tuple[str, Age]] = {}
    for path in sorted(bids.glob("sub-*/sub-*_sessions.tsv")):
        subject = path.parent.name
        table = _read_ids(path, "session_id", "ses-")
        found = sessions.get(subject, ())
        names = table["session_id"].map(match_ids(table["session_id"], found, prefix="ses-", where=str(path)))
        table = _once(path, table.set_index(pd.Index(names)).drop(columns="session_id"))
        column = _age_column(table)
        if column is not None:
            beside = path.with_suffix(".json")
            sidecar = beside if beside.exists() else bids / "sessions.json"
            written = table[column].set_axis(pd.MultiIndex.from_product([[subject], table.index]))
            ages |= _ages(written, sidecar)
    return ages


def _read_ids(path: Path, column: str, prefix: str) -> pd.DataFrame:
    """Read a table with a column of ids; ``prefix`` is added to ids that lack it."""
    if not path.is_file():
        raise ParticipantsError(f"{path} is not a regular file; replace it by a table")
    table = read_text_table(path)
    if column not in table.columns:
        raise ParticipantsError(
            f'{path} has no column "{column}", only {", ".join(table.columns)}; '
            "it must be tab-separated, with that column"
        )
    return table.assign(**{column: _with_prefix(table[column], prefix)}).drop_duplicates()


def _with_prefix(ids: pd.Series, prefix: str) -> pd.Series:
    return prefix + ids.str.strip().str.removeprefix(prefix)


def _once(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table, or raise if two rows have the same index."""
    twice = table.index[table.index.duplicated()]
    if len(twice):
        name = _row_name(*twice[0]) if isinstance(twice[0], tuple) else twice[0]
        raise ParticipantsError(
            f"{path} lists {name} more than once, with different values; keep one row, or name the session "
            "of each row in a column session_id"
        )
    return table


def _age_column(table: pd.DataFrame) -> str | None:
    names = [str(name) for name in table.columns if str(name).lower() == "age"]
    return "age" if "age" in names else next(iter(names), None)


def _ages(written: pd.Series, sidecar: Path) -> dict[tuple[str, str], tuple[str, Age]]:
    """Return the ages of a column that is indexed by subject and session."""
    per_year = _read_units(sidecar, str(written.name))
    rows = ((str(subject), str(session)) for subject, session in written.index)
    return {row: (text, parse_age(text, per_year=per_year)) for row, text in zip(rows, written, strict=True)}


def _read_units(sidecar: Path, column: str) -> float:
    """Return how many of the JSON sidecar's units make a year; 1 if it is absent or gives no units."""
    if not sidecar.exists():
        return 1.0
    columns = received.load_json(sidecar)
    if not isinstance(columns, dict):
        raise BadInputError(f"{sidecar} does not hold a JSON object; see BIDS on tabular files")
    alike = {name.strip().lower(): about for name, about in columns.items()}
    about = columns.get(column, alike.get("age"))
    stated = sorted({str(units).strip() for units in _units(about) if units} - MISSING)
    if len({units_per_year(units) for units in stated}) > 1:
        raise ParticipantsError(f'{sidecar} gives several units of "age": {", ".join(stated)}; keep one')
    if stated:
        return units_per_year(stated[0])
    described = "\n".join(_descriptions(about))
    if (other := _OTHER_UNITS.search(described)) and "year" not in described.lower():
        unit = other[1] or other[2]
        raise ParticipantsError(
            f'{sidecar} describes "age" in {unit} but gives no units; write "Units": "{unit.lower()}" there'
        )
    return 1.0


def _descriptions(about: Any) -> list[str]:
    """Return the sentences that describe a column, without the descriptions of its levels."""
    said = about.items() if isinstance(about, dict) else [("description", about)]
    return [str(value) for name, value in said if name.strip().lower() not in ("levels", "termurl")]


def _units(about: Any) -> Iterator[Any]:
    """Yield all stated units, in any spelling of the key and anywhere in the description."""
    for name, value in about.items() if isinstance(about, dict) else ():
        if name.strip().lower() in ("unit", "units"):
            yield value
        else:
            yield from _units(value)
