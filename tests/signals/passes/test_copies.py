"""What a model predicts of changed copies of scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import StaleError
from memberscan.models.copies import Copies
from memberscan.models.inputs import as_inputs, predict
from memberscan.runs import Run
from memberscan.signals import see
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS, PREDICTIONS_OF_COPIES
from memberscan.signals.passes.copies import predictions_of_copies
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import ThreatModel
from memberscan.training import TrainingConfig, train


def test_they_are_predicted_for_each_scan_alone(run: Run, volumes: Cohort, tmp_path: Path):
    target = TrainedModel.open(run.path, ThreatModel())
    found = see(target, [AUGMENTED_PREDICTIONS], tmp_path / "s")[AUGMENTED_PREDICTIONS]
    assert found.shape == (len(volumes), 5)
    model = run.load()
    for place in (0, 7, 20):
        inputs = as_inputs(volumes, [target.scans.index[place]])
        with torch.no_grad():
            alone = [predict(model, copy).item() for copy in Copies.of(volumes)(inputs)]
        np.testing.assert_allclose(found[place], alone, rtol=1e-5)
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0


def test_they_are_kept_and_those_of_another_model_are_refused(
    run: Run, volumes: Cohort, tmp_path: Path, precise: list[bool]
):
    target = TrainedModel.open(run.path, ThreatModel())
    first = predictions_of_copies(target, tmp_path / "out")
    assert precise and all(precise)
    written = (tmp_path / "out" / "prediction.npy").stat().st_mtime_ns
    np.testing.assert_array_equal(predictions_of_copies(target, tmp_path / "out"), first)
    assert (tmp_path / "out" / "prediction.npy").stat().st_mtime_ns == written
    other = train(
        volumes,
        tmp_path / "run",
        model="cnn3d",
        options={"width": 4},
        config=TrainingConfig(epochs=1, device="cpu"),
    )
    with pytest.raises(StaleError):
        predictions_of_copies(TrainedModel.open(other.path, ThreatModel()), tmp_path / "out")


def test_rows_of_measures_have_copies_too_which_say_little_without_references(
    run: Run, table: Cohort, tmp_path: Path
):
    made = train(table, tmp_path / "run", model="mlp", config=TrainingConfig(epochs=1, device="cpu"))
    target = TrainedModel.open(made.path, ThreatModel())
    found = see(target, [AUGMENTED_PREDICTIONS], tmp_path / "s")[AUGMENTED_PREDICTIONS]
    inputs, model = as_inputs(table, target.scans.index.tolist()), target.load()
    with torch.no_grad():
        alone = torch.stack([predict(model, copy) for copy in Copies.of(table)(inputs)], dim=1)
    assert found.shape == (len(table), 20)
    np.testing.assert_allclose(found, alone, rtol=1e-5)
    asked = [AUGMENTED_PREDICTIONS]
    assert not PREDICTIONS_OF_COPIES.adds(asked, target)
    assert PREDICTIONS_OF_COPIES.adds(asked, TrainedModel.open(run.path, ThreatModel()))
