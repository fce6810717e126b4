"""References that a lab trains with its own pipeline: lists of people for it, and its predictions back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.cohort.answers import answer_columns, answers_about_copies, answers_in, needs_in_words
from memberscan.cohort.text_table import read_text_table
from memberscan.errors import MemberscanError, ReferencesError
from memberscan.files import OWNER_ONLY, write_text
from memberscan.references.plan import Plan, name_of
from memberscan.references.spot_check import require_different, spot_check
from memberscan.target_variable import AGE, TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Float

LISTS = "lists"
SLURM = "train.slurm"
_ENDINGS = (".tsv", ".csv")


def write_lists(directory: Path, plan: Plan) -> None:
    """Write one list of subjects for each reference, and a SLURM script that trains all of them."""
    (directory / LISTS).mkdir(mode=0o700, exist_ok=True)
    for k in range(len(plan.inside)):
        write_text(
            directory / LISTS / f"{name_of(k)}.txt",
            "".join(f"{subject}\n" for subject in plan.members(k)),
            mode=OWNER_ONLY,
        )
    write_text(directory / SLURM, _slurm_script(len(plan.inside)))


def _slurm_script(count: int) -> str:
    return f"""#!/bin/bash
# Train all references, one per task of an array. Submit from this directory:
#   TRAIN="python train.py" sbatch {SLURM}
# TRAIN is called with two arguments: a list of subjects to train on, one per line, and the table to write:
# columns scan_id (or subject_id) and prediction, for every scan in scans.tsv, in evaluation mode; and, if
# the audited table has them, copy_1_prediction and so on, for changed copies of each scan.
#SBATCH --job-name=references
#SBATCH --array=1-{count}
#SBATCH --cpus-per-task=4
set -euo pipefail
: "${{TRAIN:?set TRAIN to the command that trains one model}}"
name=$(printf "reference-%03d" "${{SLURM_ARRAY_TASK_ID}}")
mkdir -p returned
# Written under another name first, so that a table is either complete or absent.
$TRAIN "{LISTS}/${{name}}.txt" "returned/.${{name}}.tsv"
mv "returned/.${{name}}.tsv" "returned/${{name}}.tsv"
"""


@dataclass(frozen=True, eq=False)
class Collected:
    """Predictions that came back.

    Parameters
    ----------
    predictions
        Of each scan by the name of the reference; of classes, the log-probability of its own class. Those of
        changed copies, if there are any, in further columns.
    missing
        References whose predictions are not there yet.
    """

    predictions: Mapping[str, Float[np.ndarray, "scans one_and_copies"]]
    missing: tuple[str, ...]


def collect_predictions(
    paths: Sequence[Path], plan: Plan, scans: pd.DataFrame, variable: TargetVariable = AGE
) -> Collected:
    """Read the predictions of references and check that they are those of the plan.

    Parameters
    ----------
    paths
        Tables named as the references (reference-001.tsv), or directories of such tables.
    plan
        Who was to be trained on.
    scans
        The scans to predict, indexed by scan id: ``subject_id`` and ``label``.
    variable
        What is predicted.

    Raises
    ------
    ReferencesError
        If a name is not of the plan or is given twice; a scan is missing, repeated or unknown; predictions
        are constant or equal to those of another reference; not all are asked about as many copies; or the
        errors show that a reference was trained on other people than planned.
    """
    names = [name_of(k) for k in range(len(plan.inside))]
    files: dict[str, Path] = {}
    for path in _tables(paths):
        name = path.name.removesuffix(path.suffix)
        if name not in names:
            raise ReferencesError(
                f"{path} is not named as a reference of the plan; name it {names[0]} to {names[-1]}"
            )
        if (other := files.setdefault(name, path)) != path:
            raise ReferencesError(f"{other} and {path} are both {name}; give one of them")
    found = {name: _read(files[name], scans, variable) for name in names if name in files}
    _require_as_many_copies(files, found)
    of_scans = {name: answers[:, 0] for name, answers in found.items()}
    require_different(of_scans)
    places = pd.Index(plan.subjects).get_indexer(pd.Index(scans["subject_id"]))
    errors = variable.errors(scans["label"].to_numpy(float), of_scans)
    spot_check(errors, plan.inside[:, places], names)
    return Collected(found, tuple(name for name in names if name not in found))


def _tables(paths: Sequence[Path]) -> list[Path]:
    tables = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in _ENDINGS and not p.name.startswith("."))
            if not inside:
                raise ReferencesError(f"{path} holds no table of predictions (.tsv or .csv)")
            tables += inside
        elif path.is_file() and path.suffix in _ENDINGS:
            tables.append(path)
        else:
            raise ReferencesError(f"{path} is not a table (.tsv or .csv) or a directory of tables")
    return tables


def _require_as_many_copies(files: Mapping[str, Path], found: Mapping[str, np.ndarray]) -> None:
    copies = {name: answers.shape[1] - 1 for name, answers in found.items()}
    for name, count in copies.items():
        first = next(iter(copies))
        if count != copies[first]:
            raise ReferencesError(
                f"{files[first]} has predictions of {copies[first]} copies of each scan, and {files[name]} "
                f"of {count}; ask all models about the same copies"
            )


def _read(
    path: Path, scans: pd.DataFrame, variable: TargetVariable
) -> Float[np.ndarray, "scans one_and_copies"]:
    """Read one table of predictions, in the order of the scans."""
    try:
        table = read_text_table(path)
    except MemberscanError as error:
        raise ReferencesError(str(error)) from error
    ids = next((name for name in ("scan_id", "subject_id", "subject") if name in table), None)
    if ids is None or not {*answer_columns(variable)} <= {*table.columns}:
        raise ReferencesError(
            f"{path} has the columns {', '.join(table.columns)}; it needs scan_id (or subject_id) and "
            f"{needs_in_words(variable)}"
        )
    wanted = scans.index if ids == "scan_id" else pd.Index(scans["subject_id"])
    if not wanted.is_unique:
        raise ReferencesError(f"{path} names subjects, but some have several scans; give a column scan_id")
    given = pd.Index(table[ids])
    if given.has_duplicates:
        raise ReferencesError(f"{path} has {given[given.duplicated()][0]!r} in more than one row; keep one")
    if len(lacking := wanted.difference(given)):
        raise ReferencesError(
            f"{path} has no prediction of {len(lacking)} of {len(wanted)} scans, such as {lacking[0]!r}; "
            "predict all, those that the model was not trained on too"
        )
    if len(extra := given.difference(wanted)):
        raise ReferencesError(f"{path} has {len(extra)} scans that are not in the plan, such as {extra[0]!r}")
    ordered = table.iloc[given.get_indexer(wanted)]
    label = scans["label"].to_numpy(float)
    try:
        copies = answers_about_copies(ordered, variable, label)
    except MemberscanError as error:
        raise ReferencesError(f"{path}: {error}") from error
    own = answers_in(ordered, variable, label)[:, None]
    values = own if copies is None else np.concatenate([own, copies], axis=1)
    if not np.isfinite(values).all():
        scan = wanted[int(np.argmin(np.isfinite(values).all(axis=1)))]
        raise ReferencesError(
            f"{path} has no number as the prediction of {scan!r}, or no probabilities with sum 1; the model "
            "must be repaired"
        )
    return values
