"""How much attacks with reference models find, by the number of references and by the kind of model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.attacks import REGISTRY, Attack
from memberscan.attacks.attack import KnownScans
from memberscan.attacks.attempt import one_thread
from memberscan.attacks.references.copies import CopiesAttack, with_copies
from memberscan.attacks.references.stacking import SHARES, Stack
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.with_references import Compared, ReferenceAttack
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.evidence.roc import aucs_of_rows
from memberscan.files import write_table
from memberscan.people import People
from memberscan.progress import progress
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_PREDICTIONS
from memberscan.studies.reference_recipes import RECIPES, morphometry
from memberscan.studies.reference_twins import Network, Twins, of_images, of_measures

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

REFERENCES = (2, 4, 8, 16, 32)
TARGETS = 36
TWINS = 18
RATES = ("auc", "tpr_1", "tpr_5")
ERROR, ERROR_ON_COPIES = "error:zero-knowledge", "augmented-error:zero-knowledge"
KNOWING = ("multi-feature",)
"""Attacks that learn from half of the people, whose membership they know, and are scored on the others."""
TAUGHT = "stacking, taught by other targets"
FOLDS = 6
"""Parts of the pairs of models: each is attacked by what the others taught."""

SHORT = (
    Network("3D-CNN, phantoms at 8 mm", "cnn3d", 8.0, twins=7, phantoms=160),
    Network("3D-CNN, 8 mm", "cnn3d", 8.0, twins=7),
)
LONG = (
    *SHORT,
    Network("3D-CNN, 4 mm", "cnn3d", 4.0, twins=9),
    Network("2D-slice-mean, 4 mm", "slice-mean", 4.0, twins=9),
)


def references(out: Path, *, data: Path | None, seed: int = 0, long: bool = False) -> pd.DataFrame:
    """Train twin models by several recipes, let each of some play the target, and attack it.

    Parameters
    ----------
    out
        Directory for models and tables; a killed study goes on at the model that it was training.
    data
        A folder with ``morphometry/openneuro.csv``, ``morphometry/ixi.csv`` and, for networks on images, the
        BIDS dataset ``ixi``.
    seed
        Root seed.
    long
        Whether networks at 4 mm are trained too, for hours on a processor.

    Returns
    -------
    DataFrame
        One row per kind of model and attack, one column per number of references: AUC, true positive rate at
        1% and at 5% false positives, means over targets with the standard errors of these means. The target's
        twin is never among its references. ``references.tsv`` in ``out`` has the numbers, one row each.
    """
    if data is None:
        raise BadInputError("the study of references needs tables and images to train on: give --data FOLDER")
    tables = [table_of(twins).assign(model=name) for name, twins in trained(out, data, seed, long=long)]
    table = pd.concat(tables, ignore_index=True)
    table = table[["model", *(column for column in table.columns if column != "model")]]
    write_table(out / "references.tsv", table.round(4))
    return compact(table)


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table for people: one column for each number of references, with standard errors."""

    def words(row: pd.Series) -> str:
        return " ".join(f"{row[name]:.3f}±{row[f'{name}_se']:.3f}" for name in RATES)

    columns = ["model", "attack", "references"]
    cells = table[columns].assign(cell=table.apply(words, axis=1))
    wide = cells.pivot(index=["model", "attack"], columns="references", values="cell")
    order = table[["model", "attack"]].drop_duplicates()
    return order.merge(wide.fillna("").rename(columns=str).reset_index(), on=["model", "attack"])


def trained(out: Path, data: Path, seed: int, *, long: bool) -> Iterator[tuple[str, Twins]]:
    """Yield the models of each kind with its name, as soon as they are trained."""
    measures = morphometry(data)
    for name in RECIPES:
        yield name, of_measures(measures, name, out / _folder(name), twins=TWINS, seed=seed)
    for kind in LONG if long else SHORT:
        if kind.phantoms:
            path = out / f"phantoms-{kind.spacing:g}mm"
            cohort = Cohort.phantom(path, subjects=kind.phantoms, spacing=kind.spacing, seed=seed)
        elif (data / "ixi").is_dir():
            path = out / f"cohort-{kind.spacing:g}mm"
            cohort = Cohort.from_bids(data / "ixi", path, spacing=kind.spacing, recentre=True)
        else:
            continue
        yield kind.name, of_images(cohort, out / _folder(kind.name), kind, seed=seed)


def _folder(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")


def table_of(twins: Twins) -> pd.DataFrame:
    """Attack models of one kind with increasing numbers of references."""
    kinds = (ReferenceAttack, CopiesAttack)
    attacks = {name: attack for name, attack in REGISTRY.items() if isinstance(attack, kinds)}
    models = len(twins.inside)
    targets = np.unique(np.linspace(0, models - 1, min(TARGETS, models)).round().astype(int))
    numbers = [number for number in REFERENCES if number <= models - 2]
    rows = []
    with one_thread(), progress("attacking", len(numbers) * len(targets)) as advance:
        for number in numbers:
            found: dict[str, list[np.ndarray]] = {
                name: [] for name in (ERROR, ERROR_ON_COPIES, *attacks, *KNOWING)
            }
            for k in targets:
                compared, people, member = comparison(twins, int(k), number)
                found[ERROR].append(rates(people.mean(-np.abs(compared.residual)), member))
                _, excess, _ = compared.also
                found[ERROR_ON_COPIES].append(rates(people.mean(excess.residual), member))
                for name, attack in attacks.items():
                    of_people = people.total if attack.log_likelihood_ratio else people.mean
                    seen = compared if isinstance(attack, CopiesAttack) else replace(compared, also=())
                    found[name].append(rates(of_people(attack.statistic(seen)), member))
                for name in KNOWING:
                    found[name].append(
                        knowing(REGISTRY[name], view_of(twins, int(k), number), people, member)
                    )
                advance(1)
            found[TAUGHT] = taught(twins, number, targets)
            rows += [_row(name, number, np.stack(values)) for name, values in found.items()]
    return pd.DataFrame(rows)


def comparison(twins: Twins, k: int, references: int) -> tuple[Compared, People, Bool[np.ndarray, " people"]]:
    """Return model ``k`` as a target with the next pairs of models as references, and its members.

    What is compared includes what all of them predict of copies: see :func:`.with_copies`.
    """
    trials, people = targets_beside(twins, references)
    chosen = np.flatnonzero(trials.used[k])
    compared = Compared(
        trials.residual[k], trials.references[chosen], trials.inside[chosen], label=trials.label
    )
    copied = trials.label[:, None] - twins.copies[:, twins.inside.any(axis=0)]
    with_also = with_copies(compared, copied[k], copied[chosen])
    return with_also, people, people.mean(trials.inside[k]) > 0


def view_of(twins: Twins, k: int, references: int) -> View:
    """Return what an attacker sees of model ``k``, its copies, and the next pairs of models."""
    trials, _ = targets_beside(twins, references)
    scored, chosen = twins.inside.any(axis=0), np.flatnonzero(trials.used[k])
    values = {
        PREDICTION: twins.predictions[k, scored],
        AUGMENTED_PREDICTIONS: twins.copies[k, scored],
        REFERENCE_PREDICTIONS: twins.predictions[chosen][:, scored],
    }
    scans = twins.scans[scored][["subject_id"]].assign(label=trials.label)
    return View(scans, values)


def knowing(
    attack: Attack, view: View, people: People, member: Bool[np.ndarray, " people"]
) -> Float[np.ndarray, " 3"]:
    """Rate an attack that knows a random half of the people, on the others; the mean of both halves."""
    half = np.random.default_rng(0).permutation(len(people)) % 2 == 0
    features, found = attack.observe(view), []
    for known in (half, ~half):
        places = np.flatnonzero(known[people.of_scan])
        told = KnownScans(places, member[people.of_scan][places])
        scores = people.mean(attack.score(features, told))
        found.append(rates(scores[~known], member[~known]))
    return np.asarray(np.mean(found, axis=0))


def targets_beside(twins: Twins, references: int) -> tuple[Trials, People]:
    """Return every model as a target with the next pairs of models as references.

    Who is in no model, since there was nobody left to pair with, is left out.
    """
    pair = np.arange(len(twins.inside)) // 2
    after = (pair - pair[:, None]) % (pair[-1] + 1)
    used = (after > 0) & (after <= references // 2)
    scored = twins.inside.any(axis=0)
    scans = twins.scans[scored]
    age = scans["age"].to_numpy(float)
    residual = age - twins.predictions[:, scored]
    trials = Trials(residual, residual, twins.inside[:, scored], used.astype(float), age)
    return trials, People.of(scans["subject_id"])


def taught(twins: Twins, references: int, targets: Int[np.ndarray, " targets"]) -> list[np.ndarray]:
    """Rate stacking that learns from other targets, of which it is told the members.

    No attacker has that. Where ``stacking``, which learns from the references alone, finds as much, there is
    nothing left for it to learn: more can only come from more references, or from other measurements. The
    weight of the trees is the best in hindsight.
    """
    trials, people = targets_beside(twins, references)
    pair = np.arange(len(trials.residual)) // 2
    fold = pair * FOLDS // (pair[-1] + 1)
    by_learner = np.zeros((2, *trials.residual.shape))
    for part in np.unique(fold):
        rows = fold == part
        by_learner[:, rows] = Stack.fit(trials, ~rows).log_odds(trials)[:, rows]
    found = [
        [
            rates(people.total(scores), people.mean(inside) > 0)
            for scores, inside in zip(weighted[targets], trials.inside[targets], strict=True)
        ]
        for weighted in ((1 - share) * by_learner[0] + share * by_learner[1] for share in SHARES)
    ]
    return max(found, key=lambda of_targets: float(np.mean(of_targets, axis=0)[0]))


def rates(scores: Float[np.ndarray, " people"], member: Bool[np.ndarray, " people"]) -> np.ndarray:
    """Return the AUC and the true positive rates at 1% and 5% false positives."""
    auc = aucs_of_rows(scores[None], member[None].astype(float))[0]
    thresholds = np.quantile(scores[~member], [0.99, 0.95])
    return np.array([auc, *(np.mean(scores[member] > threshold) for threshold in thresholds)])


def _row(attack: str, references: int, values: Float[np.ndarray, "targets 3"]) -> dict[str, object]:
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
    row: dict[str, object] = {"references": references, "attack": attack, "targets": len(values)}
    for place, name in enumerate(RATES):
        row |= {name: mean[place], f"{name}_se": error[place]}
    return row
