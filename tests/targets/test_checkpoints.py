"""Checkpoints of a training as an attacker has them: their order, and which folders are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError
from memberscan.models import read_weights
from memberscan.runs import Run
from memberscan.targets import open_target
from memberscan.targets.checkpoints import Checkpoints
from memberscan.threat import Access, Attacker, ThreatModel
from memberscan.training import TrainingConfig, train

WEIGHTS = ThreatModel(Access.WEIGHTS)


def test_they_are_in_the_order_of_the_numbers_in_their_names(run: Run, tmp_path: Path) -> None:
    names = ["epoch=9-step=90.ckpt", "epoch=10-step=100.ckpt", "epoch=2-step=20.ckpt", "last.ckpt"]
    for name in names:
        shutil.copy(run.path / "weights.safetensors", tmp_path / name)
    (tmp_path / "notes.txt").write_text("no weights")
    (tmp_path / "folder.pt").mkdir()
    found = Checkpoints.of(tmp_path)
    assert [path.name for path in found.paths] == [names[2], names[0], names[1], names[3]] and len(found) == 4
    for name, tensor in read_weights(run.path / "weights.safetensors").items():
        torch.testing.assert_close(found.weights(1)[name], tensor)


def test_a_changed_file_or_another_order_is_another_fingerprint(run: Run, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.pt").write_bytes(bytes([number]))
    first = Checkpoints.of(tmp_path).fingerprint
    assert Checkpoints.of(tmp_path).fingerprint == first
    (tmp_path / "1.pt").rename(tmp_path / "3.pt")
    assert Checkpoints.of(tmp_path).fingerprint != first


def test_says_what_is_no_folder_of_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is not a folder; give the folder"):
        Checkpoints.of(tmp_path / "none")
    with pytest.raises(BadInputError, match="holds no checkpoints"):
        Checkpoints.of(tmp_path)


@pytest.mark.parametrize("threat", [ThreatModel(), ThreatModel(attacker=Attacker.LEARNER)])
def test_only_an_outsider_with_the_weights_has_them(run: Run, tmp_path: Path, threat: ThreatModel) -> None:
    with pytest.raises(BadInputError, match="give --access weights, or leave out --checkpoints"):
        open_target(run.path, threat, checkpoints=tmp_path)


def test_a_file_of_predictions_has_none(tmp_path: Path) -> None:
    rows = [f"s{k}\t{60 + k}\t{61 + k}\t{k % 2}" for k in range(24)]
    path = tmp_path / "p.tsv"
    path.write_text("\n".join(["subject_id\tage\tprediction\tmember", *rows]) + "\n")
    with pytest.raises(BadInputError, match="an attack on checkpoints needs the model's weights"):
        open_target(path, WEIGHTS, checkpoints=tmp_path)


def test_weights_of_another_network_are_refused(run: Run, table: Cohort, tmp_path: Path) -> None:
    from memberscan.signals.passes.earlier_models import predictions_by_checkpoint
    from memberscan.targets.trained_model import TrainedModel

    config = TrainingConfig(epochs=2, device="cpu")
    other = train(table, tmp_path / "mlp", model="mlp", config=config, checkpoints=1)
    target = open_target(run.path, WEIGHTS, checkpoints=other.path / "checkpoints")
    assert isinstance(target, TrainedModel)
    with pytest.raises(ModelError):
        predictions_by_checkpoint(target, tmp_path / "out")
