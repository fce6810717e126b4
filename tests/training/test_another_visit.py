"""Auditing with other scans of the people that a model was trained on, as the how-to says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memberscan.auditing import audit
from memberscan.auditing.making_references import train_references
from memberscan.cohort import Cohort
from memberscan.runs import Role, Roles
from memberscan.runs.run import ROLES, WEIGHTS
from memberscan.training import TrainingConfig, import_run, reference_tasks, train
from memberscan.training.recipes import answers_of

SUBJECTS = [f"sub-{n:02d}" for n in range(24)]
FIRST = "VISITS_FIRST"


def by_first_scans(cohort: Cohort, members: list[str], seed: int):
    """Train a reference on the first scans, to be asked about the cohort's."""
    first = Cohort.open(os.environ[FIRST])
    roles = Roles({s: Role.MEMBER if s in members else Role.NONMEMBER for s in first.subjects})
    config = TrainingConfig(epochs=1, seed=seed, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        options = {"width": 4}
        return train(
            first, f"{folder}/r", model="cnn3d", members=roles, options=options, config=config
        ).load()


def test_the_weights_are_audited_with_the_second_scans(
    cohort_maker: Callable[..., Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ages = np.random.default_rng(0).uniform(45, 80, len(SUBJECTS)).round(1)
    first, second = (
        cohort_maker(tmp_path / f"visit-{k}", (ages + k).tolist(), SUBJECTS, seed=k) for k in (0, 1)
    )
    config, options = TrainingConfig(epochs=2, device="cpu"), {"width": 4}
    run = train(first, tmp_path / "run", model="cnn3d", options=options, config=config, seed=0)
    other = import_run(
        tmp_path / "second",
        cohort=second,
        model="cnn3d",
        roles=run.path / ROLES,
        weights=run.path / WEIGHTS,
        options=options,
    )
    assert other.roles.of == run.roles.of
    found = answers_of(other.load(), second, "cpu")
    np.testing.assert_array_equal(found, answers_of(run.load(), second, "cpu"))
    assert np.abs(found - answers_of(run.load(), first, "cpu")).max() > 0
    monkeypatch.setenv(FIRST, str(first.path))
    # Processes take long to start.
    monkeypatch.setattr(
        reference_tasks, "carry_out", lambda function, tasks, **_: ((task, function(task)) for task in tasks)
    )
    made = train_references(
        other.path, tmp_path / "refs", count=2, recipe=f"{__name__}:by_first_scans", workers=1
    )
    assert made is not None and made.copies is not None and made.cohort == second.fingerprint
    asked = ["error:zero-knowledge", "difficulty"]
    result = audit(other.path, references=tmp_path / "refs", attacks=asked)
    assert {found["attack"] for found in result.content["findings"]} == set(asked)
