"""Make another column of a cohort the target of models: a score in a unit, or classes such as a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.cohort.covariates import as_numbers
from memberscan.errors import BadInputError
from memberscan.limits import MOST_CLASSES
from memberscan.target_variable import AGE, TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.cohort.cohort import Cohort

_FEWEST_VALUES = 3
"""A number with fewer different values is a class."""


class Asked(NamedTuple):
    """What a user says of the column that a model predicts: its name, and its unit or its classes."""

    name: str = AGE.name
    unit: str | None = None
    classes: tuple[str, ...] = ()


def asked_target(target: str | None, unit: str | None, classes: Sequence[str]) -> Asked | None:
    """Return what a user says of a target, or None; :class:`BadInputError` if the column is not named."""
    if target is None and (unit is not None or classes):
        raise BadInputError("--unit and --classes say what a target is: name its column too, with --target")
    return None if target is None else Asked(target, unit, tuple(classes))


def variable_of(
    column: pd.Series, name: str, unit: str | None = None, classes: Sequence[str] = ()
) -> TargetVariable:
    """Return the target variable that a column holds: a number if a unit is given, else classes.

    Parameters
    ----------
    column
        Its values, numbers or text; missing ones are NaN.
    name
        Its name.
    unit
        Unit of a number.
    classes
        Names of the classes, in the order of a model's outputs; by default those in the column, sorted.

    Raises
    ------
    BadInputError
        If the column does not fit: text or class labels where a unit is given; one class only, or as many
        values as a number has, where none is; or a value that is none of the classes.
    """
    if unit is not None:
        if classes:
            raise BadInputError(
                f"target {name!r}: --unit is for a number and --classes for classes; give one"
            )
        if name == AGE.name:
            return TargetVariable(name, unit)
        numbers = as_numbers(column)
        if numbers is None:
            text = next(str(value) for value in column.dropna() if not _is_number(value))
            raise BadInputError(
                f"target {name!r} holds text, such as {text!r}, and no numbers in {unit}; leave out --unit "
                "if these are classes"
            )
        if numbers.nunique() < _FEWEST_VALUES:
            raise BadInputError(
                f"target {name!r} has only {numbers.nunique()} different values, like class labels; leave "
                "out --unit: the values are then classes"
            )
        return TargetVariable(name, unit)
    if name == AGE.name:
        return AGE
    found = sorted(_as_class(column).dropna().unique().tolist())
    if classes:
        if strange := [each for each in found if each not in classes]:
            raise BadInputError(f"target {name!r} holds {strange[0]!r}, which is none of --classes")
        return TargetVariable(name, classes=tuple(classes))
    if len(found) < 2:
        held = f"one class only, {found[0]!r}" if found else "no value"
        raise BadInputError(f"target {name!r} holds {held}; a model that tells classes apart needs two")
    if len(found) > MOST_CLASSES:
        raise BadInputError(
            f"target {name!r} has {len(found)} different values, and at most {MOST_CLASSES} are classes; if "
            "it is a number, say in which unit: --unit points"
        )
    return TargetVariable(name, classes=tuple(found))


def labels_of(column: pd.Series, variable: TargetVariable) -> pd.Series:
    """Return the label of each row: the number, or the position of the class; NaN where there is none."""
    if variable.is_age:
        return column
    return variable.read(_as_class(column) if variable.classes else column)


def with_target(cohort: Cohort, name: str, unit: str | None = None, classes: Sequence[str] = ()) -> Cohort:
    """Return a cohort whose target is one of its covariates; scans without a value of it are excluded.

    Age becomes a covariate. The files of the cohort stay as they are.

    Raises
    ------
    BadInputError
        If the cohort has no such column, it is a feature of the inputs, or it does not fit: see
        :func:`variable_of`.
    """
    if name in cohort.features:
        raise BadInputError(
            f"{name!r} is one of the features that models get, so it cannot be their target; build the "
            f"cohort again with --covariates {name}"
        )
    if name != AGE.name and name not in cohort.covariates:
        known = ", ".join(cohort.covariates) or "none"
        raise BadInputError(
            f"{cohort.path} has no column {name!r} that can be a target; it has the covariates {known}"
        )
    return as_target(cohort, variable_of(cohort.scans[name], name, unit, classes))


def as_target(cohort: Cohort, variable: TargetVariable) -> Cohort:
    """Return the cohort with a target variable that is known already, from a run for instance."""
    if variable == cohort.target:
        return cohort
    if not cohort.target.is_age:
        raise BadInputError(f"the target of this cohort is {cohort.target.name!r} already; open it again")
    if variable.name not in cohort.covariates:
        raise BadInputError(f"{cohort.path} has no column {variable.name!r}, which the model predicts")
    label = labels_of(cohort.scans[variable.name], variable)
    lacking = cohort.scans[label.isna()]
    reasons = pd.DataFrame({"scan_id": lacking.index, "subject_id": lacking["subject_id"].tolist()})
    covariates = (AGE.name, *(column for column in cohort.covariates if column != variable.name))
    if label.isna().all():
        raise BadInputError(f"no scan of {cohort.path} has a value of {variable.name!r}")
    return replace(
        cohort,
        scans=cohort.scans[label.notna()],
        excluded=pd.concat(
            [cohort.excluded, reasons.assign(reason=f"no value of {variable.name}")], ignore_index=True
        ),
        covariates=covariates,
        target=variable,
        fingerprint=files.fingerprint(
            {"cohort": cohort.fingerprint, "target": [variable.name, variable.unit, list(variable.classes)]}
        ),
    )


def with_labels(cohort: Cohort, scan_ids: Sequence[str], labels: Float[np.ndarray, " scans"]) -> Cohort:
    """Return a cohort in which some scans have other labels, in the form of :attr:`.Cohort.labels`.

    It is for trainings only: its files and its fingerprint are those of the true labels.
    """
    target = cohort.target
    values = [target.classes[int(label)] for label in labels] if target.classes else labels
    kind = object if target.classes else float
    changed = pd.Series(list(values), index=pd.Index(scan_ids), dtype=kind)
    kept = cohort.scans[target.name].drop(changed.index).astype(kind)
    column = pd.concat([kept, changed]).reindex(cohort.scans.index)
    return replace(cohort, scans=cohort.scans.assign(**{target.name: column}))


def _as_class(column: pd.Series) -> pd.Series:
    """Return values as the names of classes; 1.0 is written 1."""
    return column.map(
        lambda value: f"{value:g}" if isinstance(value, float) else str(value), na_action="ignore"
    )


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
