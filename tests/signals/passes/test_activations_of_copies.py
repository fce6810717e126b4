"""The inputs of the output layer when the model sees changed copies of scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import StaleError
from memberscan.models.copies import Copies
from memberscan.models.gradients import capture_slowly
from memberscan.models.inputs import as_inputs
from memberscan.runs import Run
from memberscan.signals import see
from memberscan.signals.augmented_activations import ACTIVATIONS_OF_COPIES, AUGMENTED_ACTIVATIONS
from memberscan.signals.passes.activations_of_copies import activations_of_copies
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Access, ThreatModel

WEIGHTS = ThreatModel(Access.WEIGHTS)


def test_they_are_those_of_each_copy_alone(run: Run, volumes: Cohort, tmp_path: Path):
    target = TrainedModel.open(run.path, WEIGHTS)
    found = see(target, [AUGMENTED_ACTIVATIONS], tmp_path / "s")[AUGMENTED_ACTIVATIONS]
    model, path = run.load(), target.landmarks["output"]
    for place in (0, 7, 20):
        inputs = as_inputs(volumes, [target.scans.index[place]])
        copies = Copies.of(volumes)(inputs)
        alone = [capture_slowly(model, x, None, entering=[path]).entered[path][0] for x in copies]
        np.testing.assert_allclose(found[place], torch.stack(alone).numpy(), rtol=1e-4, atol=1e-6)
    assert found.shape == (len(volumes), 5, len(alone[0]))
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0


def test_they_are_kept_and_those_of_another_layer_are_refused(run: Run, tmp_path: Path, precise: list[bool]):
    target = TrainedModel.open(run.path, WEIGHTS)
    first = activations_of_copies(target, "output", tmp_path / "out")
    assert precise and all(precise)
    written = (tmp_path / "out" / "activation.npy").stat().st_mtime_ns
    np.testing.assert_array_equal(activations_of_copies(target, "output", tmp_path / "out"), first)
    assert (tmp_path / "out" / "activation.npy").stat().st_mtime_ns == written
    with pytest.raises(StaleError):
        activations_of_copies(target, target.landmarks["conv6"], tmp_path / "out")


def test_who_has_outputs_only_does_not_see_them(run: Run):
    target = TrainedModel.open(run.path, ThreatModel())
    assert not ACTIVATIONS_OF_COPIES.seen_by(target.threat)
    assert "needs access to weights" in ACTIVATIONS_OF_COPIES.out_of_sight(target.threat)
    assert ACTIVATIONS_OF_COPIES.absent([AUGMENTED_ACTIVATIONS], target) is None
    assert ACTIVATIONS_OF_COPIES.not_taken([AUGMENTED_ACTIVATIONS], target) is None


def test_a_model_without_an_output_layer_has_none(run: Run, monkeypatch: pytest.MonkeyPatch):
    nameless = TrainedModel.open(run.path, WEIGHTS)
    monkeypatch.setattr(TrainedModel, "layer_paths", lambda self, names: {})
    assert "no landmark 'output'" in str(ACTIVATIONS_OF_COPIES.absent([AUGMENTED_ACTIVATIONS], nameless))
