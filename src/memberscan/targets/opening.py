"""Open a path as the target of an attacker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from memberscan.cohort.target_column import Asked
from memberscan.errors import BadInputError
from memberscan.references.ensemble import Ensemble
from memberscan.targets.predictions_table import PredictionsTable
from memberscan.targets.target import PredictionsFrom, Target
from memberscan.threat import WITH_REFERENCES, Access, Attacker, ThreatModel


def open_target(
    path: Path,
    threat: ThreatModel,
    *,
    cohort: Path | None = None,
    model: str | None = None,
    seed: int = 0,
    predictions_from: PredictionsFrom | None = None,
    references: Path | None = None,
    checkpoints: Path | None = None,
    asked: Asked | None = None,
) -> Target:
    """Open a run directory or a predictions file for an attacker; nothing is written.

    Parameters
    ----------
    path
        The directory or the file.
    threat
        Who attacks. A party of a federation needs a run of one.
    cohort
        The run's cohort, if it was moved.
    model
        ``package.module:factory`` of a network that is not from memberscan; see :meth:`memberscan.Run.open`.
    seed
        Root seed of every draw.
    predictions_from
        How the predictions of a file were made; by default "unknown".
    references
        Directory of reference models.
    checkpoints
        Folder of models that were kept in training.
    asked
        What the model of a predictions file predicts, if not age; a run records it itself.

    Raises
    ------
    BadInputError
        If there is nothing at ``path``, or this attacker cannot attack it.
    ReferencesError
        If the references do not fit the target.
    """
    if not path.exists():
        raise BadInputError(f"{path} does not exist; give a run directory, or a TSV or CSV of predictions")
    if predictions_from not in (None, *get_args(PredictionsFrom)):
        raise BadInputError(
            f"--predictions-from is {predictions_from!r}; choose from {', '.join(get_args(PredictionsFrom))}"
        )
    if predictions_from is not None and path.is_dir():
        raise BadInputError(
            f"{path} is a directory, and --predictions-from is for a file of predictions; leave it out: "
            "the predictions of a run are computed in one pass"
        )
    if asked is not None and path.is_dir():
        raise BadInputError(
            f"{path} is a directory, and --target is for a file of predictions; leave it out: a run records "
            "what its model predicts"
        )
    outside = threat.attacker is Attacker.OUTSIDER and threat.access is Access.WEIGHTS
    if checkpoints is not None and not outside:
        raise BadInputError(
            "checkpoints are for an outsider who has the weights too; give --access weights, or leave out "
            "--checkpoints"
        )
    target = _open(path, threat, cohort, model, seed, predictions_from or "unknown", asked or Asked())
    # A column that is a copy of membership stops the audit before anything is computed.
    target.copied_columns  # noqa: B018
    if checkpoints is not None:
        target = _with_checkpoints(target, checkpoints)
    return target if references is None else _with_references(target, references)


def _with_checkpoints(target: Target, folder: Path) -> Target:
    if lacking := target.lacks(Access.WEIGHTS):
        raise BadInputError(f"an attack on checkpoints {lacking}; leave out --checkpoints")
    from memberscan.targets.checkpoints import Checkpoints

    return replace(target, checkpoints=Checkpoints.of(folder))


def _with_references(target: Target, directory: Path) -> Target:
    if target.threat.attacker not in WITH_REFERENCES:
        raise BadInputError(
            f"references are for attackers on the global model ({', '.join(WITH_REFERENCES)}); this attacker "
            f"({target.threat.attacker}) sees updates: leave out --references"
        )
    cohort = target.provenance()["cohort"]
    found = Ensemble.open(directory).of_scans(target.scans, cohort=cohort, variable=target.variable)
    count = target.threat.references
    return replace(target, references=found if count is None else found.first(count))


def _open(
    path: Path,
    threat: ThreatModel,
    cohort: Path | None,
    model: str | None,
    seed: int,
    made: PredictionsFrom,
    asked: Asked,
) -> Target:
    inside = threat.attacker is not Attacker.OUTSIDER
    if path.is_dir():
        from memberscan.targets.party import Party
        from memberscan.targets.trained_model import TrainedModel

        return (Party if inside else TrainedModel).open(path, threat, cohort=cohort, model=model, seed=seed)
    table = PredictionsTable.read(path, threat, seed=seed, made=made, asked=asked)
    if inside:
        raise BadInputError(
            f"a {threat.attacker} is a party of a federation, but this is a predictions file; give a run"
        )
    return table
