"""The study of queries on a toy: its table, the same one again, and rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.references.ensemble import Ensemble
from memberscan.signals import PREDICTION
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_COPIES, REFERENCE_MEMBERS
from memberscan.studies import STUDIES, queries
from memberscan.training import reference_tasks


@pytest.fixture
def toy(volumes: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "WIDTH", 4)
    monkeypatch.setattr(queries, "EPOCHS", 1)
    monkeypatch.setattr(queries.Cohort, "phantom", lambda *_, **__: volumes)
    monkeypatch.setattr(queries, "ROUNDED_TO", (0.0, 5.0))
    monkeypatch.setattr(queries, "COUNTS", (0, 5))
    # Stacking takes long, and processes take long to start.
    monkeypatch.setattr(queries, "WITH_REFERENCES", ("difficulty", "augmented-error:zero-knowledge"))
    monkeypatch.setattr(
        reference_tasks, "carry_out", lambda function, tasks, **_: ((task, function(task)) for task in tasks)
    )


@pytest.mark.usefixtures("toy")
def test_it_has_a_row_for_each_number_of_copies_and_step(tmp_path: Path):
    table = queries.queries(tmp_path, seed=0)
    assert table[["rounded_to", "copies"]].values.tolist() == [[0, 0], [0, 5], [5, 0], [5, 5]]
    assert table[["error", "stacking"]].stack().between(0, 1).all()
    assert (tmp_path / "queries.tsv").is_file()
    assert queries.queries(tmp_path, seed=0).equals(table)
    models = Ensemble.open(tmp_path / "models")
    seen = queries.view_of(models, 3, 5.0, 2)
    assert models.copies is not None
    # The twin of model 3 is model 2. Copies 3 and 4 follow in their circle.
    np.testing.assert_array_equal(seen[REFERENCE_MEMBERS], models.inside[[0, 1, 4, 5]])
    np.testing.assert_array_equal(seen[PREDICTION], queries.rounded(models.predictions[3], 5.0))
    np.testing.assert_array_equal(seen[AUGMENTED_PREDICTIONS], 5 * np.round(models.copies[3][:, 3:] / 5))
    assert seen[REFERENCE_COPIES].shape == (4, len(models.scans), 2)


def test_answers_are_rounded_to_multiples():
    years = np.array([61.26, 58.75])
    np.testing.assert_array_equal(queries.rounded(years, 0.0), years)
    np.testing.assert_allclose(queries.rounded(years, 0.1), [61.3, 58.8])
    np.testing.assert_allclose(queries.rounded(years, 5.0), [60.0, 60.0])


def test_it_is_a_study():
    assert "queries" in STUDIES
