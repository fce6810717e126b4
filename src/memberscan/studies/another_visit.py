"""How much of a leak is left to an attacker who has another scan of each person than the one trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.attacks.attempt import one_thread
from memberscan.cohort import Cohort
from memberscan.files import fingerprint, write_table
from memberscan.progress import progress
from memberscan.studies import queries
from memberscan.training.recipes import RunRecipe, answers_of

if TYPE_CHECKING:
    from memberscan.training.recipes import Answers

VISITS = {"trained on": 0, "another visit": 1}
ATTACKS = (
    ("error:zero-knowledge", "stacking", 0),
    ("augmented-error:zero-knowledge", "stacking:copies", queries.COPIES),
)
"""An attack on the model alone, one with references, and the copies that both ask about."""


@dataclass(frozen=True)
class FirstScans(RunRecipe):
    """Train on the same people in another cohort, which has their first scans only.

    Parameters
    ----------
    first
        Directory of that cohort.
    """

    first: Path

    @property
    def fingerprint(self) -> str:
        """See :class:`~memberscan.training.recipes.Recipe`."""
        return fingerprint([super().fingerprint, Cohort.open(self.first).fingerprint])

    def train(
        self,
        cohort: Cohort,
        members: Sequence[str],
        seed: int,
        checkpoint: Path,
        weights: Path | None,  # noqa: ARG002
    ) -> Answers:
        """See :class:`~memberscan.training.recipes.Recipe`; weights are not kept."""
        network = self.network(Cohort.open(self.first), members, seed, checkpoint)
        return answers_of(network, cohort, self.config.device)


def another_visit(out: Path, *, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Train twin models on people's first scans, and attack them with these and with their second scans.

    Parameters
    ----------
    out
        Directory for phantoms, models and the table.
    seed
        Root seed.
    processes
        How many models are trained at the same time.

    Returns
    -------
    DataFrame
        One row per attack: the mean AUC over models with each scan, and its standard error.
    """
    # Everything about a scan follows from the seed and its number: first scans are the same in both.
    first, both = (
        Cohort.phantom(
            out / f"scans-{count}",
            subjects=queries.SUBJECTS,
            spacing=queries.SPACING,
            scans_per_subject=count,
            seed=seed,
        )
        for count in (1, 2)
    )
    plain = queries.recipe_for(first)
    recipe = FirstScans(plain.spec, plain.config, plain.validation, first.path.resolve())
    models = queries.trained(both, recipe, out / "models", seed=seed, processes=processes)
    labelled = both.scans[["subject_id"]].assign(label=both.labels)
    visit = both.scans.groupby("subject_id", sort=False).cumcount()
    found = {}
    with one_thread(), progress("attacking", len(VISITS) * len(models)) as advance:
        for name, number in VISITS.items():
            seen, rows = models.of_scans(labelled[visit == number]), []
            for k in range(len(models)):
                rows.append([auc for *_, copies in ATTACKS for auc in queries.aucs(seen, k, 0.0, copies)])
                advance(1)
            found[name] = np.array(rows)
    table = _table(found)
    write_table(out / "another-visit.tsv", table.round(4))
    return table


def _table(found: dict[str, np.ndarray]) -> pd.DataFrame:
    columns: dict[str, Sequence[object]] = {"attack": [name for *names, _ in ATTACKS for name in names]}
    for name, values in found.items():
        columns[name] = values.mean(axis=0)
        columns[f"{name}, se"] = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return pd.DataFrame(columns)
