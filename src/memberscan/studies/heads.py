"""Whether a variance, quantiles or a distribution give more away than a single number."""

from __future__ import annotations

import functools
import math
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from memberscan.auditing.stages import measure
from memberscan.cohort import Cohort
from memberscan.files import write_table
from memberscan.models.heads import HEADS, SquaredError
from memberscan.task_pool import in_order
from memberscan.threat import ThreatModel
from memberscan.training import TrainingConfig, train

SUBJECTS, SPACING, WIDTH, EPOCHS, MODELS = 200, 8.0, 16, 30, 6
MEASURES = Path("morphometry") / "ixi.csv"
"""Within the user's data: regional measures of IXI, one row per person."""
LEARNT, ALONE = "prediction+label", "error:zero-knowledge"
LEARNT_MORE, ALONE_MORE = "prediction+label+uncertainty", "head-loss:zero-knowledge"
COPIES = "augmented-error:zero-knowledge"
_ATTACKS = {
    "error": (ALONE, ALONE),
    "loss": (ALONE, ALONE_MORE),
    "learnt": (LEARNT, LEARNT),
    "uncertainty": (LEARNT, LEARNT_MORE),
}
"""Columns: the attack on a single number, and the one on a head that says more."""


def heads(
    out: Path, *, data: Path | None = None, seed: int = 0, processes: int = 1, epochs: int = EPOCHS
) -> pd.DataFrame:
    """Train a network with each head on the same halves of people, and audit its outputs.

    Parameters
    ----------
    out
        Directory for cohort, runs, audits and the table.
    data
        A folder with regional measures, on which perceptrons are trained; by default 3D-CNNs are trained on
        phantoms.
    seed
        Of the phantoms, and of the first of the halves.
    processes
        How many trainings run at a time.
    epochs
        Of each training.

    Returns
    -------
    DataFrame
        One row per head, with means over the models: errors of members and others (years); AUC of the error
        and of the head's loss, and of the attacks that learn from prediction and age, and from the
        uncertainty too; for images, AUC of the error compared with the errors of changed copies; and how much
        the loss and the uncertainty exceed the AUC of the same kind of attack on a single number, trained on
        the same people, with standard errors over the models.
    """
    if data is None:
        Cohort.phantom(out / "cohort", subjects=SUBJECTS, spacing=SPACING, seed=seed)
    else:
        Cohort.from_table(
            data / MEASURES, out / "cohort", subject="participant_id", age="age", covariates=["sex"]
        )
    names = [name for name, head in HEADS.items() if head.standardised]
    cases = list(product(names, range(seed, seed + MODELS)))
    rows = pd.DataFrame(list(in_order(functools.partial(_case, out, epochs), cases, processes)))
    point = rows[rows["head"] == SquaredError.name].set_index("seed").loc[rows["seed"]]
    for column, alone in (("loss", "error"), ("uncertainty", "learnt")):
        rows[f"{column}_more"] = rows[column] - point[alone].to_numpy()
    groups = rows.drop(columns="seed").groupby("head", sort=False)
    table = groups.mean()
    for column in ("loss_more", "uncertainty_more"):
        place = list(table).index(column) + 1
        table.insert(place, f"{column}_se", groups[column].std() / MODELS**0.5)
    table = table.reset_index()
    write_table(out / "heads.tsv", table.round(4))
    return table


def _case(out: Path, epochs: int, case: tuple[str, int]) -> dict[str, Any]:
    head, seed = case
    name, more = f"{head}-{seed}", HEADS[head].outputs > 1
    table = Cohort.open(out / "cohort").kind == "table"
    run = train(
        out / "cohort",
        out / name,
        model="mlp" if table else "cnn3d",
        options={"width": WIDTH, "head": head},
        config=TrainingConfig(epochs=epochs, seed=seed, learning_rate=3e-3 if table else None),
        seed=seed,
    )
    outcome = measure(run.path, out / f"{name}-audit", threat=ThreatModel(), seed=seed)
    auc = {finding.attack: finding.auc.value for finding in outcome.findings}
    people, member = outcome.people, outcome.people.member
    return {
        "head": head,
        "seed": seed,
        "mae_members": float(people.mean_absolute[member].mean()),
        "mae_others": float(people.mean_absolute[~member].mean()),
        **{column: auc[attacks[more]] for column, attacks in _ATTACKS.items()},
        "copies": auc.get(COPIES, math.nan),
    }
