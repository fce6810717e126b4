"""Reference models of a target: draw who is in each, train them, or read what a lab has trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from memberscan import threads
from memberscan.auditing.forecast import Forecast, forecast
from memberscan.cohort.covariates import SEX, SITE, column_named
from memberscan.cohort.target_column import asked_target
from memberscan.errors import BadInputError, ReferencesError
from memberscan.files import fingerprint
from memberscan.output_directory import REQUEST, claim
from memberscan.received import load_json
from memberscan.references import collect
from memberscan.references.ensemble import DONE, Ensemble, finish, read_scans, write_predictions, write_scans
from memberscan.references.plan import Plan
from memberscan.targets import Target, open_target
from memberscan.task_pool import Engine
from memberscan.threat import ThreatModel

if TYPE_CHECKING:
    from memberscan.cohort import Cohort
    from memberscan.training.recipes import Recipe


def train_references(
    source: Path | str,
    directory: Path | str,
    *,
    count: int = 8,
    recipe: str | None = None,
    cohort: Path | str | None = None,
    model: str | None = None,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    budget: float | None = None,
    keep_weights: bool = False,
    seed: int = 0,
    target: str | None = None,
    unit: str | None = None,
    classes: Sequence[str] = (),
    announce: Callable[[Forecast], None] | None = None,
) -> Ensemble | None:
    """Train reference models: of the target's recipe, each on one of every pair of people who are alike.

    Parameters
    ----------
    source
        The run, or the predictions file, that the references are for.
    directory
        Where they are kept. Unfinished references there are continued; with a greater ``count``, more are
        added.
    count
        How many; even.
    recipe
        ``package.module:function`` of a function ``(cohort, members, seed)`` that trains a model on subjects
        and returns it, or its predictions of all scans. By default the run's own recipe.
    cohort
        The cohort, where the run's was moved, or for a predictions file.
    model
        See :func:`memberscan.audit`.
    workers
        References that are trained at a time; by default one per core, or one on a CUDA card.
    engine, address
        "local", or "ray" for a Ray cluster at an address.
    budget
        Seconds after which no further reference is begun.
    keep_weights
        Whether to keep the models too, and not only their predictions.
    seed
        Root seed.
    target, unit, classes
        See :func:`memberscan.audit`.
    announce
        Is given what the training will take and give, before it begins.

    Returns
    -------
    Ensemble or None
        None if the budget ended first; run it again to go on.

    Raises
    ------
    ReferencesError
        If the target's recipe is not known and none is given, or the plan is not possible.
    """
    source, directory = Path(source), Path(directory)
    audited = open_target(
        source,
        ThreatModel(),
        cohort=Path(cohort) if cohort and source.is_dir() else None,
        model=model,
        asked=asked_target(target, unit, classes),
    )
    how, data = _recipe(audited, recipe), _cohort(audited, cohort)
    _require_everybody(audited, data)
    plan = _plan(audited, count, seed)
    request = {
        **_request(audited, plan, "references", seed),
        "count": count,
        "recipe": how.fingerprint,
        "cohort": data.fingerprint,
        "keep_weights": keep_weights,
    }
    from memberscan.training.reference_tasks import train_all

    with claim(directory, request, done=DONE, grows="count") as finished:
        if finished:
            return Ensemble.open(directory)
        parallel = _default_workers(how) if workers is None else workers
        if announce is not None:
            announce(forecast(audited, count, max(parallel, 1)))
        return train_all(
            directory,
            plan,
            data,
            how,
            seed=seed,
            workers=parallel,
            engine=engine,
            address=address,
            budget=budget,
            keep_weights=keep_weights,
        )


def plan_references(
    source: Path | str,
    directory: Path | str,
    *,
    count: int = 8,
    cohort: Path | str | None = None,
    model: str | None = None,
    seed: int = 0,
    target: str | None = None,
    unit: str | None = None,
    classes: Sequence[str] = (),
) -> Plan:
    """Write who is in each reference, for a lab that trains them with its own pipeline.

    The directory gets a list of subjects per reference, the scans to predict, and a SLURM script; their
    predictions are read by :func:`collect_references`. Parameters are those of :func:`train_references`.
    """
    directory = Path(directory)
    audited = open_target(
        Path(source),
        ThreatModel(),
        cohort=Path(cohort) if cohort else None,
        model=model,
        asked=asked_target(target, unit, classes),
    )
    plan = _plan(audited, count, seed)
    request = {**_request(audited, plan, "references plan", seed), "count": count}
    with claim(directory, request, done=DONE):
        plan.write(directory)
        write_scans(directory, audited.scans, audited.variable)
        collect.write_lists(directory, plan)
    return plan


@dataclass(frozen=True, eq=False)
class Collection:
    """What has come back of a plan.

    Parameters
    ----------
    ensemble
        The references; None while some are missing.
    missing
        Names of those whose predictions were not given.
    """

    ensemble: Ensemble | None
    missing: tuple[str, ...]


def collect_references(directory: Path | str, paths: Sequence[Path | str]) -> Collection:
    """Read predictions of references that were planned with :func:`plan_references`, and check them.

    Parameters
    ----------
    directory
        Of the plan.
    paths
        Tables of predictions named as the references (reference-001.tsv), or directories of them; by default
        the directory ``returned`` that the SLURM script writes.

    Raises
    ------
    ReferencesError
        See :func:`memberscan.references.collect.collect_predictions`.
    """
    directory = Path(directory)
    plan = Plan.read(directory)
    request = load_json(directory / REQUEST) if (directory / REQUEST).is_file() else None
    if not isinstance(request, dict) or request.get("command") != "references plan":
        raise ReferencesError(
            f"{directory} was not made by memberscan references plan, so nothing is collected there"
        )
    scans, variable = read_scans(directory)
    given = [Path(path) for path in paths] or [directory / "returned"]
    found = collect.collect_predictions(given, plan, scans, variable)
    if found.missing:
        return Collection(None, found.missing)
    digests = {name: write_predictions(directory, name, row) for name, row in found.predictions.items()}
    made = finish(directory, recipe="the lab's own pipeline", cohort=None, plan=plan, digests=digests)
    return Collection(made, ())


def _plan(target: Target, count: int, seed: int) -> Plan:
    people = target.people.covariates(
        pd.DataFrame({"label": target.scans["label"], **_columns(target.covariates)}).reset_index(drop=True)
    )
    return Plan.draw(people, count=count, size=int(target.member.sum()), seed=seed)


def _columns(covariates: pd.DataFrame) -> dict[str, pd.Series]:
    """Return sex and site, under these names, where a column says them."""
    found = {"sex": column_named(covariates, SEX), "site": column_named(covariates, SITE)}
    # As text, so that a site's number is not averaged.
    return {what: covariates[column].astype(str) for what, column in found.items() if column is not None}


def _request(target: Target, plan: Plan, command: str, seed: int) -> dict[str, Any]:
    return {
        "command": command,
        "memberscan": version("memberscan"),
        "people": fingerprint([list(plan.subjects), plan.pair.tolist(), int(plan.inside[0].sum())]),
        "scans": fingerprint(target.scans.index.tolist()),
        "seed": seed,
    }


def _recipe(target: Target, named: str | None) -> Recipe:
    from memberscan.training.recipes import RunRecipe, UserRecipe

    run = getattr(target, "run", None)
    if named is not None:
        if run is None:
            return UserRecipe(named)
        spec = run.spec
        # Without a head, a recipe's network gives ages, whatever else the target's gives.
        output = spec.output if spec.head else ""
        return UserRecipe(named, inputs=spec.inputs, output=output, head=spec.head)
    if run is None:
        raise ReferencesError(
            "a predictions file does not say how its model was trained; give --recipe package.module:train "
            "and --cohort, or use memberscan references plan and collect"
        )
    if run.federation is not None:
        from memberscan.federation.reference_recipe import FederationRecipe

        return FederationRecipe.of(run)
    return RunRecipe.of(run)


def _cohort(target: Target, given: Path | str | None) -> Cohort:
    own: Cohort | None = getattr(target, "cohort", None)
    if own is not None:
        return own
    if given is None:
        raise BadInputError("training references for a predictions file needs the scans; give --cohort")
    from memberscan.cohort import Cohort as Opened

    return Opened.open(given).with_target(target.variable)


def _require_everybody(target: Target, cohort: Cohort) -> None:
    if missing := sorted(set(target.people.ids) - set(cohort.subjects)):
        raise ReferencesError(
            f"{len(missing)} people of the predictions file are not in the cohort, such as {missing[0]!r}; "
            "ids must be written in the same way"
        )


def _default_workers(recipe: Recipe) -> int:
    from memberscan.models.inputs import trainings_at_a_time

    config = getattr(recipe, "config", None)
    return threads.available() if config is None else trainings_at_a_time(config.device)
