"""Who the participants of a BIDS dataset are: their ages at each session, and their covariates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.cohort.ages import Age, parse_age, unit_problem, units_per_year
from memberscan.cohort.covariates import typed
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import BadInputError, ParticipantsError


@dataclass(frozen=True)
class Participants:
    """The people of a dataset.

    Parameters
    ----------
    covariates
        All columns of participants.tsv but id and age, indexed by subject id ("sub-01").
    baseline
        Age as written and in years, by subject id, from participants.tsv.
    by_session
        The same by subject and session id, from the sessions.tsv files; where a session is listed, it has the
        last word.
    """

    covariates: pd.DataFrame
    baseline: dict[str, tuple[str, Age]]
    by_session: dict[tuple[str, str], tuple[str, Age]]

    @classmethod
    def read(cls, bids: Path) -> Participants:
        """Read the tables of a dataset.

        Raises
        ------
        ParticipantsError
            If a table is unreadable, lists a person or session twice, holds a column of numbers but for a
            few cells, or if no table gives an age, or all in another unit.
        """
        by_session = _read_sessions(bids)
        path = bids / "participants.tsv"
        if path.exists():
            table = _indexed(path, "participant_id", "sub-")
        elif by_session:
            table = pd.DataFrame(index=pd.Index([], dtype=str))
        else:
            raise ParticipantsError(f"{path} does not exist; it must give the ages (participant_id, age)")
        column = _age_column(table)
        if column is None and not by_session:
            names = ", ".join(map(str, table.columns)) or "nothing else"
            raise ParticipantsError(
                f'{path} has no column "age", only participant_id and {names}; add the ages'
            )
        baseline = _ages(table[column], path.with_suffix(".json")) if column else {}
        if not any(math.isfinite(age.years) for _, age in (*baseline.values(), *by_session.values())):
            raise ParticipantsError(f'no row of {path} gives an age; fill in the column "age", in years')
        if problem := unit_problem(np.array([age.years for _, age in baseline.values()])):
            raise ParticipantsError(f'{path}: {problem}; give "age" in years, or its "Units" in the JSON')
        covariates = typed(table.drop(columns=[column] if column else []), path)
        return cls(covariates, baseline, by_session)

    def age(self, subject_id: str, session: str) -> tuple[str, Age]:
        """Return the age of a subject at a session, as written and in years; ("", NaN) if none is given."""
        unknown = ("", Age(float("nan")))
        return self.by_session.get((subject_id, session), self.baseline.get(subject_id, unknown))


def _indexed(path: Path, column: str, prefix: str) -> pd.DataFrame:
    """Read a table indexed by ids, to which ``prefix`` is added where it is left out."""
    table = read_text_table(path)
    if column not in table.columns:
        raise ParticipantsError(
            f'{path} has no column "{column}", only {", ".join(table.columns)}; '
            "it must be tab-separated, with that column"
        )
    ids = prefix + table[column].str.strip().str.removeprefix(prefix)
    table = table.assign(**{column: ids}).drop_duplicates().set_index(column)
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise ParticipantsError(
            f"{path} lists {twice[0]} more than once, with different values; keep one row"
        )
    return table


def _read_sessions(bids: Path) -> dict[tuple[str, str], tuple[str, Age]]:
    ages: dict[tuple[str, str], tuple[str, Age]] = {}
    for path in sorted(bids.glob("sub-*/sub-*_sessions.tsv")):
        table = _indexed(path, "session_id", "ses-")
        column = _age_column(table)
        if column is not None:
            beside = path.with_suffix(".json")
            sidecar = beside if beside.exists() else bids / "sessions.json"
            found = _ages(table[column], sidecar)
            ages |= {(path.parent.name, str(session)): age for session, age in found.items()}
    return ages


def _age_column(table: pd.DataFrame) -> str | None:
    names = [str(name) for name in table.columns if str(name).lower() == "age"]
    return "age" if "age" in names else next(iter(names), None)


def _ages(written: pd.Series, sidecar: Path) -> dict[str, tuple[str, Age]]:
    per_year = _read_units(sidecar)
    return {str(key): (text, parse_age(text, per_year=per_year)) for key, text in written.items()}


def _read_units(sidecar: Path) -> float:
    """Return units in a year from a JSON sidecar; years where it is absent or does not say."""
    if not sidecar.exists():
        return 1.0
    columns = files.read_json(sidecar)
    if not isinstance(columns, dict):
        raise BadInputError(f"{sidecar} does not hold a JSON object; see BIDS on tabular files")
    lower = {str(name).lower(): about for name, about in columns.items()}
    about = lower.get("age")
    units = about.get("Units") if isinstance(about, dict) else None
    return units_per_year(str(units)) if units else 1.0
