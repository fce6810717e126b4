"""How much more an attacker learns by asking more often, and what rounding the answers takes from it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.attacks import REGISTRY
from memberscan.attacks.attack import NOBODY
from memberscan.attacks.attempt import one_thread
from memberscan.cohort import Cohort
from memberscan.evidence.roc import aucs_of_rows
from memberscan.files import write_table
from memberscan.output_directory import claim
from memberscan.people import People
from memberscan.progress import progress
from memberscan.references.ensemble import DONE, Ensemble
from memberscan.references.plan import Plan
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_COPIES, REFERENCE_MEMBERS, REFERENCE_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.training.recipes import Recipe, RunRecipe

SUBJECTS, SPACING, WIDTH, EPOCHS = 140, 8.0, 16, 20
"""Those of the demonstration, trained half as long."""
MODELS = 6
"""Each in turn is attacked, with the others but its twin as references."""
COPIES = 5
COUNTS = tuple(range(COPIES + 1))
ROUNDED_TO = (0.0, 0.1, 1.0, 5.0)
"""Years; the first is no rounding."""
ALONE = ("error:zero-knowledge", "augmented-error:zero-knowledge")
WITH_REFERENCES = ("stacking", "stacking:copies")
"""Attacks on the scan only, and on its copies too."""
COLUMNS = ("rounded_to", "copies", "error", "error_se", "stacking", "stacking_se", "added", "added_se")


def queries(out: Path, *, data: Path | None = None, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Train twin models on images, and attack each with increasing numbers of queries.

    Parameters
    ----------
    out
        Directory for the models and the table.
    data
        A folder with the BIDS dataset ``ixi``; without one the images are phantoms.
    seed
        Root seed.
    processes
        How many models are trained at the same time.

    Returns
    -------
    DataFrame
        One row per number of copies that are predicted beside each scan, and per step to which answers are
        rounded (years): the mean AUC over models, and its standard error, of the error alone or compared
        with copies, and of stacking with references; and what copies add to stacking, paired by model. The
        references' answers are rounded too.
    """
    cohort = people_of(out, data, seed)
    models = trained(cohort, recipe_for(cohort), out / "models", seed=seed, processes=processes)
    assert models.copies is not None
    rows = []
    with one_thread(), progress("attacking", len(ROUNDED_TO) * len(COUNTS)) as advance:
        for step, copies in product(ROUNDED_TO, COUNTS):
            found = np.array([aucs(models, k, step, copies) for k in range(len(models))])
            if copies == COUNTS[0]:
                without = found
            values = np.column_stack([found, found[:, 1] - without[:, 1]])
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            rows.append((step, copies, *np.stack([values.mean(axis=0), error], axis=1).ravel()))
            advance(1)
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_table(out / "queries.tsv", table.round(4))
    return table


def people_of(out: Path, data: Path | None, seed: int) -> Cohort:
    """Return phantoms, or the people of a folder with the BIDS dataset ``ixi``."""
    if data is not None:
        return Cohort.from_bids(data / "ixi", out / "cohort", spacing=SPACING, recentre=True)
    return Cohort.phantom(out / "cohort", subjects=SUBJECTS, spacing=SPACING, seed=seed)


def recipe_for(cohort: Cohort) -> RunRecipe:
    """Return how the models of this study are trained."""
    from memberscan.models import ModelSpec
    from memberscan.training import TrainingConfig
    from memberscan.training.recipes import RunRecipe

    spec = ModelSpec("cnn3d", cohort.shape, {"width": WIDTH})
    return RunRecipe(spec, TrainingConfig(epochs=EPOCHS), validation=())


def trained(cohort: Cohort, recipe: Recipe, out: Path, *, seed: int, processes: int) -> Ensemble:
    """Train twin models on halves of a cohort; a killed training goes on where it was."""
    from memberscan.training.reference_tasks import train_all

    people = People.of(cohort.scans["subject_id"])
    plan = Plan.draw(
        people.covariates(cohort.labels.to_frame("label")), count=MODELS, size=len(people) // 2, seed=seed
    )
    request = {
        "command": "study queries",
        "cohort": cohort.fingerprint,
        "plan": plan.fingerprint,
        "recipe": recipe.fingerprint,
        "seed": seed,
    }
    with claim(out, request, done=DONE) as finished:
        if finished:
            return Ensemble.open(out)
        made = train_all(out, plan, cohort, recipe, seed=seed, workers=processes)
    assert made is not None
    return made


def aucs(models: Ensemble, k: int, step: float, copies: int) -> tuple[float, float]:
    """Return the AUC of each attack on one model."""
    view, people = view_of(models, k, step, copies), People.of(models.scans["subject_id"])
    member = people.mean(models.inside[k]) > 0
    found = []
    for pair in (ALONE, WITH_REFERENCES):
        attack = REGISTRY[pair[copies > 0]]
        by_scan = attack.score(attack.observe(view), NOBODY)
        scores = (people.total if attack.log_likelihood_ratio else people.mean)(by_scan)
        found.append(float(aucs_of_rows(scores[None], member[None].astype(float))[0]))
    return found[0], found[1]


def view_of(models: Ensemble, k: int, step: float, copies: int) -> View:
    """Return what an attacker sees of model ``k`` and its references; its twin is not among them.

    Each model is asked about other copies: as many as there are, from number ``k`` of their circle.
    """
    assert models.copies is not None
    chosen = (k + np.arange(copies)) % COPIES
    answers, moved = (rounded(each, step) for each in (models.predictions, models.copies[:, :, chosen]))
    others = np.arange(len(models)) // 2 != k // 2
    values = {
        PREDICTION: answers[k],
        AUGMENTED_PREDICTIONS: moved[k],
        REFERENCE_PREDICTIONS: answers[others],
        REFERENCE_COPIES: moved[others],
        REFERENCE_MEMBERS: models.inside[others],
    }
    return View(models.scans, values)


def rounded(years: Float[np.ndarray, "*shape"], step: float) -> Float[np.ndarray, "*shape"]:
    """Return the nearest multiples of a step, or the same where it is zero."""
    return np.round(years / step) * step if step else years
