"""How much checkpoints of a training tell beside the finished model, by their number."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan.auditing.stages import measure
from memberscan.files import write_table
from memberscan.reproduction import paper
from memberscan.studies.queries import people_of
from memberscan.task_pool import in_order
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train
from memberscan.training.kept_checkpoints import FOLDER, epochs_of

WIDTH, EPOCHS = 16, 30
MODELS = 6
"""Of each network, with members drawn anew."""
KEPT = 5
COUNTS = (1, 2, KEPT)
"""Of the epochs that five checkpoints are kept after, one and two are evenly spaced, too."""
WITHOUT = ("error:zero-knowledge", "prediction+label")
WITH = ("loss-series:zero-knowledge", "loss-series")
"""Attacks on the finished model alone, and on the checkpoints too: without known people, and with."""
COLUMNS = ("model", "checkpoints", "nobody_known", "nobody_known_se", "some_known", "some_known_se")


def checkpoints(out: Path, *, data: Path | None = None, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Train both networks on halves of some people, keep checkpoints, and attack with some or none of them.

    Parameters
    ----------
    out
        Directory for the models and the table; finished models there are kept.
    data
        A folder with the BIDS dataset ``ixi``; without one the images are phantoms.
    seed
        Root seed.
    processes
        How many models are trained at the same time.

    Returns
    -------
    DataFrame
        One row per network and number of checkpoints that the attacker has beside the finished model: the
        mean AUC over models, and its standard error, of the attack that knows nobody's membership, and of the
        one that knows half of the people. With no checkpoint, these are attacks on the finished model's
        prediction.
    """
    people_of(out, data, seed)
    cases = list(itertools.product(paper.MODELS, range(MODELS)))
    found = list(in_order(functools.partial(_case, out, seed), cases, processes))
    rows = []
    for model in paper.MODELS:
        of_model = np.array([aucs for (name, _), aucs in zip(cases, found, strict=True) if name == model])
        error = of_model.std(axis=0, ddof=1) / np.sqrt(len(of_model))
        for count, mean, se in zip((0, *COUNTS), of_model.mean(axis=0), error, strict=True):
            rows.append((model, count, mean[0], se[0], mean[1], se[1]))
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_table(out / "checkpoints.tsv", table.round(4))
    return table


def _case(out: Path, seed: int, case: tuple[str, int]) -> list[list[float]]:
    """Return the AUCs of both attacks on one model, by the number of checkpoints."""
    model, number = case
    run = train(
        out / "cohort",
        out / f"{model}-{number}",
        model=model,
        options={"width": WIDTH},
        config=TrainingConfig(epochs=EPOCHS, seed=seed + number),
        seed=seed + number,
        checkpoints=KEPT,
    )
    threat, found = ThreatModel(Access.WEIGHTS), []
    for count, folder in ((0, None), *some_of(run.path / FOLDER, out / f"{model}-{number}-kept")):
        asked = WITHOUT if folder is None else WITH
        directory = out / f"{model}-{number}-audit-{count}"
        outcome = measure(run.path, directory, threat=threat, attacks=asked, seed=seed, checkpoints=folder)
        auc = {finding.attack: finding.auc.value for finding in outcome.findings}
        found.append([auc[name] for name in asked])
    return found


def some_of(folder: Path, out: Path) -> Iterator[tuple[int, Path]]:
    """Yield numbers of checkpoints, and a folder with as many of them, evenly spaced."""
    kept = dict(zip(epochs_of(KEPT, EPOCHS), sorted(folder.iterdir()), strict=True))
    for count in COUNTS:
        place = out / str(count)
        place.mkdir(parents=True, exist_ok=True)
        for epoch in epochs_of(count, EPOCHS):
            shutil.copy(kept[epoch], place)
        yield count, place
