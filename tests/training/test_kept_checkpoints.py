"""Models that are kept during a training: after which epochs, the same bytes after a kill, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan import audit
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, OutputConflictError
from memberscan.models import read_weights
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train
from memberscan.training.kept_checkpoints import epochs_of

from ..conftest import Interrupted

CONFIG = TrainingConfig(epochs=6, device="cpu", seed=3)


@given(st.integers(0, 30), st.integers(1, 40))
def test_they_are_evenly_spaced_before_the_last_epoch(count: int, more: int):
    epochs = count + more
    found = epochs_of(count, epochs)
    assert len(set(found)) == count and all(0 < epoch < epochs for epoch in found)
    if count:
        gaps = np.diff([0, *found, epochs])
        assert gaps.max() - gaps.min() <= 1


def test_a_checkpoint_is_the_model_of_a_shorter_training(table: Cohort, tmp_path: Path):
    made = train(table, tmp_path / "run", model="mlp", config=CONFIG, seed=1, checkpoints=2)
    kept = sorted((made.path / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["epoch-0002.safetensors", "epoch-0004.safetensors"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (*kept, kept[0].parent))
    short = TrainingConfig(epochs=4, device="cpu", seed=3)
    again = train(table, tmp_path / "short", model="mlp", config=short, seed=1)
    expected = read_weights(again.path / "weights.safetensors")
    found = read_weights(kept[1])
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, expected[name])
    # They change nothing else, and belong to the request.
    without = train(table, tmp_path / "without", model="mlp", config=CONFIG, seed=1)
    assert without.weights_fingerprint == made.weights_fingerprint
    assert not (without.path / "checkpoints").exists()
    with pytest.raises(OutputConflictError):
        train(table, tmp_path / "run", model="mlp", config=CONFIG, seed=1, checkpoints=3)


def test_an_interrupted_training_keeps_the_same(
    table: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted
):
    whole = train(table, tmp_path / "whole", model="mlp", config=CONFIG, seed=1, checkpoints=3)
    with interrupted_in_epoch(4):
        train(table, tmp_path / "run", model="mlp", config=CONFIG, seed=1, checkpoints=3)
    made = train(table, tmp_path / "run", model="mlp", config=CONFIG, seed=1, checkpoints=3)
    kept = [{p.name: p.read_bytes() for p in (r.path / "checkpoints").iterdir()} for r in (whole, made)]
    assert kept[0] == kept[1] and len(kept[0]) == 3


@pytest.mark.parametrize(("count", "says"), [(-1, "--checkpoints is -1"), (6, "below that of the epochs")])
def test_refuses_numbers_that_cannot_be_kept(table: Cohort, tmp_path: Path, count: int, says: str):
    with pytest.raises(BadInputError, match=says):
        train(table, tmp_path / "run", model="mlp", config=CONFIG, checkpoints=count)


@pytest.mark.parametrize("defence", ["prune", "mixup+quantize", "distillation"])
def test_refuses_defences_that_protect_the_finished_model_only(table: Cohort, tmp_path: Path, defence: str):
    config = TrainingConfig(epochs=6, device="cpu", defence=defence)
    with pytest.raises(BadInputError, match=r"changes the finished model.*leave out --checkpoints"):
        train(table, tmp_path / "run", model="mlp", config=config, validation=0.3, checkpoints=2)


def test_an_audit_with_checkpoints_follows_the_error_over_the_training(table: Cohort, tmp_path: Path):
    config = TrainingConfig(epochs=60, device="cpu", learning_rate=0.01)
    made = train(table, tmp_path / "run", model="mlp", config=config, seed=1, checkpoints=4)
    asked = ["error:zero-knowledge", "loss-series", "loss-series:zero-knowledge"]
    threat = ThreatModel(Access.WEIGHTS)
    found = audit(made.path, tmp_path / "audit", threat=threat, checkpoints=made.path / "checkpoints")
    assert set(asked) <= set(found.findings["attack"]) and found.content["threat"]["checkpoints"] == 4
    assert {f["access"] for f in found.content["findings"] if f["attack"] in asked[1:]} == {"weights"}
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "It also has 4 models that were kept before the end of the training." in page
    # Without them, they are not tried unasked, and who asks is told what to give.
    without = audit(made.path, threat=threat)
    assert not {*asked[1:]} & {*without.findings["attack"]} and "checkpoints" not in without.content["threat"]
    named = audit(made.path, threat=threat, attacks=asked).content["not_run"]
    assert len(named) == 2 and all("--checkpoints" in row["reason"] for row in named)
    with pytest.raises(OutputConflictError):
        audit(made.path, tmp_path / "audit", threat=threat)
