"""What reference models predict for each scan, and who each of them was trained on, as plain data on disk."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan.errors import NonFiniteError, ReferencesError, StaleError
from memberscan.files import (
    OWNER_ONLY,
    TABLE_LIMIT,
    fingerprint,
    read_table,
    write_bytes,
    write_json,
    write_table,
)
from memberscan.received import load_json, parse_npy, read_limited, stated
from memberscan.references.plan import Plan, name_of
from memberscan.references.spot_check import require_different, spot_check
from memberscan.target_variable import AGE, TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

DONE = "references.json"
SCANS = "scans.tsv"
PREDICTIONS = "predictions"
_SCHEMA = "memberscan.references/1"
_TARGET = "target.json"
_SAME_LABEL = 0.01
"""By how much the labels of one scan may differ in two files, because of rounding."""


@dataclass(frozen=True)
class _Stated:
    """The content of references.json; the file may come from others, so every type is checked."""

    schema: str
    recipe: str
    cohort: str | None
    plan: str
    predictions: dict[str, str]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Reference models of one recipe: predictions, and who each was trained on.

    Parameters
    ----------
    scans
        Indexed by scan id, in the order of the columns: ``subject_id`` and ``label``, the true value of the
        target variable.
    predictions
        Of each scan by each reference; of classes, the log-probability of its own class.
    inside
        Whether each reference was trained on each scan. Rows 2j and 2j + 1 are twins.
    pair
        By subject id, the number of the person's pair in the plan, or -1.
    recipe
        How the references were trained, in words.
    cohort
        Fingerprint of the cohort that they were trained on; None if they were trained elsewhere.
    fingerprint
        A digest of all of these.
    copies
        Predictions of changed copies of each scan by each reference; None where they were not asked for.
    variable
        What the references predict.
    """

    scans: pd.DataFrame
    predictions: Float[np.ndarray, "references scans"]
    inside: Bool[np.ndarray, "references scans"]
    pair: pd.Series
    recipe: str
    cohort: str | None
    fingerprint: str
    copies: Float[np.ndarray, "references scans copies"] | None = None
    variable: TargetVariable = AGE

    def __len__(self) -> int:
        return len(self.predictions)

    @classmethod
    def open(cls, directory: Path | str) -> Ensemble:
        """Open a directory of finished references.

        Raises
        ------
        ReferencesError
            If they are not finished, or a file is missing or damaged.
        StaleError
            If a file was changed after the references were finished.
        """
        directory = Path(directory)
        if not (directory / DONE).is_file():
            raise ReferencesError(
                f"{directory} holds no finished references ({DONE} is missing); run memberscan references "
                "again to finish them, or memberscan references collect"
            )
        content = stated(_Stated, load_json(directory / DONE), str(directory / DONE))
        if content.schema != _SCHEMA:
            raise ReferencesError(
                f"{directory / DONE} has the schema {content.schema!r}, which this version does not know; "
                "use the version that wrote it, or train the references again"
            )
        (scans, variable), plan = read_scans(directory), Plan.read(directory)
        names = [name_of(k) for k in range(len(plan.inside))]
        if plan.fingerprint != content.plan or list(content.predictions) != names:
            raise StaleError(
                f"the plan in {directory} is not the one that its references were trained by; restore it"
            )
        rows = [read_answers(directory, name, len(scans), content.predictions[name]) for name in names]
        if len({row.shape for row in rows}) > 1:
            rows = [row[:, :1] for row in rows]
        answers = np.stack(rows)
        places = pd.Index(plan.subjects).get_indexer(pd.Index(scans["subject_id"]))
        if (places < 0).any():
            raise StaleError(f"{directory / SCANS} names subjects that the plan lacks; restore it")
        return cls(
            scans=scans,
            predictions=answers[:, :, 0],
            inside=plan.inside[:, places],
            pair=pd.Series(plan.pair, index=list(plan.subjects)),
            recipe=content.recipe,
            cohort=content.cohort,
            fingerprint=fingerprint([content.plan, content.predictions, scans.index.tolist()]),
            copies=answers[:, :, 1:] if answers.shape[2] > 1 else None,
            variable=variable,
        )

    def of_scans(
        self, scans: pd.DataFrame, *, cohort: str | None = None, variable: TargetVariable = AGE
    ) -> Ensemble:
        """Return the references on the scans of a target, in their order.

        Parameters
        ----------
        scans
            Of the target, indexed by scan id: ``subject_id`` and ``label``.
        cohort
            Fingerprint of the target's cohort, if it has one.
        variable
            What the target predicts.

        Raises
        ------
        ReferencesError
            If they are of another cohort or predict something else, lack a scan, or know another person or
            label for one.
        """
        if variable != self.variable:
            raise ReferencesError(
                f"the references predict {self.variable.name!r} and the target {variable.name!r}; train "
                "references for this target"
            )
        if None not in (cohort, self.cohort) and cohort != self.cohort:
            raise ReferencesError(
                "the references were trained on another cohort than the target; train references for this "
                "run with memberscan references"
            )
        places = self._known_as(scans).get_indexer(scans.index)
        if (places < 0).any():
            raise ReferencesError(
                f"the references have no prediction of scan {scans.index[int(np.argmin(places))]!r}; they "
                "are of other scans, or the ids are written differently"
            )
        found = self.scans.iloc[places]
        for column, same in (
            ("subject_id", found["subject_id"].to_numpy() == scans["subject_id"].to_numpy()),
            (variable.name, np.abs(found["label"].to_numpy() - scans["label"].to_numpy()) <= _SAME_LABEL),
        ):
            if not same.all():
                raise ReferencesError(
                    f"scan {scans.index[int(np.argmin(same))]!r} has another {column} in the references than "
                    "in the target; references must be of the same people"
                )
        return replace(
            self,
            scans=found,
            predictions=self.predictions[:, places],
            inside=self.inside[:, places],
            copies=None if self.copies is None else self.copies[:, places],
        )

    def _known_as(self, scans: pd.DataFrame) -> pd.Index:
        """Return ids of the references' scans; those of people where the target names people only."""
        own = self.scans["subject_id"]
        by_person = bool((scans.index == scans["subject_id"]).all()) and own.is_unique
        return pd.Index(own) if by_person else self.scans.index

    def first(self, count: int) -> Ensemble:
        """Return the first references only, as for an attacker that can train no more.

        Raises
        ------
        ReferencesError
            If the count is odd, or there are not as many.
        """
        if count % 2 or not 2 <= count <= len(self):
            raise ReferencesError(
                f"{count} references are asked for; give an even number from 2 to {len(self)}"
            )
        digest = fingerprint([self.fingerprint, count])
        return replace(
            self,
            predictions=self.predictions[:count],
            inside=self.inside[:count],
            fingerprint=digest,
            copies=None if self.copies is None else self.copies[:count],
        )


def write_scans(directory: Path, scans: pd.DataFrame, variable: TargetVariable = AGE) -> None:
    """Write the scans that references predict, in the order of their predictions, and what is predicted."""
    table = scans[["subject_id"]].assign(**{variable.name: variable.written(scans["label"])})
    if not variable.is_age:
        write_json(directory / _TARGET, asdict(variable))
    write_table(directory / SCANS, table.rename_axis("scan_id").reset_index(), mode=OWNER_ONLY)


def read_scans(directory: Path) -> tuple[pd.DataFrame, TargetVariable]:
    """Read the scans that references predict, and what is predicted.

    Returns
    -------
    scans, variable
        Indexed by scan id: ``subject_id`` and ``label``.
    """
    about = directory / _TARGET
    variable = stated(TargetVariable, load_json(about), str(about)) if about.exists() else AGE
    path = directory / SCANS
    if not path.is_file():
        raise ReferencesError(f"{directory} has no {SCANS}; restore it, or make the plan again")
    table = read_table(path, dtype=str)
    if list(table.columns) != ["scan_id", "subject_id", variable.name] or not table["scan_id"].is_unique:
        raise ReferencesError(f"{path} is not a list of scans; restore it")
    label = variable.read(table[variable.name])
    if label.isna().any():
        raise ReferencesError(f"{path} has a scan without a value of {variable.name!r}; restore it")
    return table[["scan_id", "subject_id"]].assign(label=label).set_index("scan_id"), variable


def write_predictions(directory: Path, name: str, predictions: np.ndarray) -> str:
    """Write the predictions of one reference, and return their digest.

    Parameters
    ----------
    directory, name
        Of the references, and of this one.
    predictions
        Of each scan; or the same in a first column, and predictions of copies in further ones.

    Raises
    ------
    NonFiniteError
        If a prediction is NaN or infinite.
    """
    bad = ~np.isfinite(predictions)
    if bad.any():
        raise NonFiniteError(
            f"{int(bad.sum())} of {len(bad)} predictions of {name} are NaN or infinite; check its training"
        )
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(predictions, dtype=np.float64), allow_pickle=False)
    path = _path(directory, name)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_bytes(path, buffer.getvalue(), mode=OWNER_ONLY)
    return fingerprint(buffer.getvalue())


def read_predictions(directory: Path, name: str, scans: int, digest: str) -> Float[np.ndarray, " scans"]:
    """Read the predictions of the scans by one reference, and compare them with their digest."""
    return read_answers(directory, name, scans, digest)[:, 0]


def read_answers(
    directory: Path, name: str, scans: int, digest: str
) -> Float[np.ndarray, "scans one_and_copies"]:
    """Read the same with those of copies in further columns, if there are any."""
    path = _path(directory, name)
    try:
        data = read_limited(path, TABLE_LIMIT)
    except FileNotFoundError as error:
        raise ReferencesError(f"{path} is missing; restore it, or train the references again") from error
    values = parse_npy(data, str(path))
    if fingerprint(data) != digest or values.ndim not in (1, 2) or not values.size or len(values) != scans:
        raise StaleError(f"{path} was changed after {name} was finished; restore it, or train it again")
    return values.reshape(scans, -1)


def finish(
    directory: Path,
    *,
    recipe: str,
    cohort: str | None,
    plan: Plan,
    digests: Mapping[str, str],
    keeps_to_plan: bool = False,
) -> Ensemble:
    """Write ``references.json``, whose presence means that all references are finished.

    Parameters
    ----------
    directory
        Of the references, with all their predictions.
    recipe, cohort
        What they are, in words, and the fingerprint of what they were trained on.
    plan
        Who was to be in each.
    digests
        Of the predictions, by reference.
    keeps_to_plan
        Whether memberscan itself trained them on the people of the plan. Others' are checked by who they fit,
        which a defence may turn around: after noise on labels, a model can fit its own people worst.

    Raises
    ------
    ReferencesError
        If the predictions cannot be those of the plan: see :mod:`memberscan.references.spot_check`.
    """
    scans, variable = read_scans(directory)
    found = {name: read_predictions(directory, name, len(scans), digest) for name, digest in digests.items()}
    places = pd.Index(plan.subjects).get_indexer(pd.Index(scans["subject_id"]))
    require_different(found)
    if not keeps_to_plan:
        errors = variable.errors(scans["label"].to_numpy(float), found)
        spot_check(errors, plan.inside[:, places], list(digests))
    content: dict[str, Any] = {
        "schema": _SCHEMA,
        "recipe": recipe,
        "cohort": cohort,
        "plan": plan.fingerprint,
        "predictions": dict(digests),
    }
    write_json(directory / DONE, content)
    return Ensemble.open(directory)


def _path(directory: Path, name: str) -> Path:
    return directory / PREDICTIONS / f"{name}.npy"


def finished_among(directory: Path, names: Sequence[str]) -> list[str]:
    """Return the references that have predictions."""
    return [name for name in names if _path(directory, name).is_file()]
