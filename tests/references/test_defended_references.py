"""References of a strongly defended recipe are kept, though they may fit the people of others better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.auditing.making_references import train_references
from memberscan.cohort import Cohort
from memberscan.errors import ReferencesError
from memberscan.references.ensemble import read_scans
from memberscan.references.plan import Plan, name_of
from memberscan.references.spot_check import spot_check
from memberscan.training import TrainingConfig, train


@pytest.mark.usefixtures("here")
def test_noise_on_labels_turns_the_fit_around_and_is_no_exchange_of_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 40)), columns=[f"m{k}" for k in range(40)])
    table.assign(id=range(120), age=rng.uniform(40, 60, 120)).to_csv(tmp_path / "t.csv", index=False)
    cohort = Cohort.from_table(tmp_path / "t.csv", tmp_path / "c", subject="id", age="age")
    usual = {"epochs": 60, "device": "cpu", "batch_size": 20, "learning_rate": 3e-3}
    config = TrainingConfig(**usual, defence="label-noise:spread=60")
    run = train(cohort, tmp_path / "run", model="mlp", config=config, seed=1)
    made = train_references(run.path, tmp_path / "refs", count=4, workers=1)
    assert made is not None and len(made) == 4
    # The check for files of others would refuse them: their own people are those they predict worst.
    plan = Plan.read(tmp_path / "refs")
    scans, variable = read_scans(tmp_path / "refs")
    found = dict(zip(map(name_of, range(len(made))), np.asarray(made.predictions), strict=True))
    places = pd.Index(plan.subjects).get_indexer(pd.Index(scans["subject_id"]))
    errors = variable.errors(scans["label"].to_numpy(float), found)
    with pytest.raises(ReferencesError, match="better"):
        spot_check(errors, plan.inside[:, places], list(found))
