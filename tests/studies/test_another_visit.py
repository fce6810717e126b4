"""The study of another visit on toys: models are trained on first scans, and asked about both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.references.ensemble import Ensemble
from memberscan.studies import STUDIES, another_visit, queries
from memberscan.training import reference_tasks


def test_models_are_trained_on_first_scans_only(
    tmp_path: Path, cohort_maker: Callable[..., Cohort], monkeypatch: pytest.MonkeyPatch
):
    def toys(path: Path, *, scans_per_subject: int, **_: object) -> Cohort:
        people = [f"sub-{n:02d}" for n in range(24) for _ in range(scans_per_subject)]
        return cohort_maker(path, np.linspace(45, 80, len(people)).tolist(), people)

    monkeypatch.setattr(Cohort, "phantom", toys)
    monkeypatch.setattr(queries, "WIDTH", 4)
    monkeypatch.setattr(queries, "EPOCHS", 1)
    attacks = (("error:zero-knowledge", "difficulty", 0),)
    monkeypatch.setattr(another_visit, "ATTACKS", attacks)
    monkeypatch.setattr(queries, "WITH_REFERENCES", ("difficulty", "stacking:copies"))
    seen = []
    network = another_visit.FirstScans.network

    def watched(self, cohort, members, seed, checkpoint):
        seen.append((len(cohort), len(members)))
        return network(self, cohort, members, seed, checkpoint)

    monkeypatch.setattr(another_visit.FirstScans, "network", watched)
    monkeypatch.setattr(
        reference_tasks, "carry_out", lambda function, tasks, **_: ((task, function(task)) for task in tasks)
    )
    table = STUDIES["another-visit"](tmp_path, seed=0, run=None)
    assert table["attack"].tolist() == ["error:zero-knowledge", "difficulty"]
    assert table[["trained on", "another visit"]].stack().between(0, 1).all()
    assert seen == [(24, 12)] * 6
    models = Ensemble.open(tmp_path / "models")
    assert models.predictions.shape == (6, 48) and models.copies is not None
    first, second = models.predictions[:, ::2], models.predictions[:, 1::2]
    assert np.abs(first - second).max() > 0
