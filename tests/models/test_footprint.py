"""How many scans fit the memory limit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.models import footprint as module
from memberscan.models.inputs import as_inputs
from memberscan.runs import Run


def test_the_batch_follows_the_memory_limit(
    run: Run, volumes: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, example = run.load(), as_inputs(volumes, volumes.scans.index[:1].tolist())
    assert module.batch_size(model, example, backward=True) == 8
    activations = module.footprint(model, example).activation_bytes
    monkeypatch.setattr(module, "MEMORY_LIMIT", int(3.5 * 2.5 * activations))
    assert module.batch_size(model, example, backward=True) == 3
    monkeypatch.setattr(module, "MEMORY_LIMIT", 1)
    assert module.batch_size(model, example, backward=False) == 1


def test_on_cuda_the_batch_grows_with_the_memory_of_the_card_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module._limits(torch.device("cpu")) == (2 << 30, 8)
    for memory in (8 << 30, 80 << 30):
        card = SimpleNamespace(total_memory=memory)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, card=card: card)
        assert module._limits(torch.device("cuda", 0)) == (memory / 4, 64)
