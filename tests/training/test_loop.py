"""What the loop does on CUDA, and to it; the rest of the loop is tested through train()."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.runs import Run
from memberscan.training import TrainingConfig, train

from ..conftest import Interrupted


def go(cohort: Cohort, path: Path, **changes: Any) -> Run:
    options = {"model": "cnn3d", "options": {"width": 16, "dropout": 0.3}, "seed": 0}
    return train(cohort, path, **(options | changes))


def test_a_training_is_in_full_precision(volumes: Cohort, tmp_path: Path, precise: list[bool]) -> None:
    go(
        volumes,
        tmp_path / "run",
        options={"width": 2},
        validation=0.2,
        config=TrainingConfig(epochs=1, device="cpu", keep="best"),
    )
    assert precise and all(precise)


def test_a_training_on_the_cpu_leaves_the_random_numbers_of_cuda(
    volumes: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    go(volumes, tmp_path / "run", options={"width": 2}, config=TrainingConfig(epochs=1, device="cpu"))
    assert seeded == []


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("model", ["cnn3d", "slice-mean"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_cuda_too_an_interrupted_training_ends_in_the_same_weights(
    volumes: Cohort, tmp_path: Path, interrupted_in_epoch: Interrupted, model: str, precision: str
) -> None:
    options = {"model": model, "config": TrainingConfig(epochs=4, device="cuda", precision=precision)}
    whole = go(volumes, tmp_path / "whole", **options)
    with interrupted_in_epoch(2):
        go(volumes, tmp_path / "part", **options)
    assert go(volumes, tmp_path / "part", **options).weights_fingerprint == whole.weights_fingerprint
