from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from memberscan.training.checkpoint import Progress, load_checkpoint, save_checkpoint


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(inputs).square().sum().backward()
    optimizer.step()


def make() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return model, torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=1e-4)


def test_training_goes_on_from_a_checkpoint_as_if_nothing_had_happened(tmp_path: Path) -> None:
    model, optimizer = make()
    step(model, optimizer, 1)
    best = {k: v.clone() for k, v in model.state_dict().items()}
    progress = Progress([{"epoch": 1, "train": 0.1 + 0.2}], 1, 1 / 3, best)
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, progress)
    step(model, optimizer, 2)
    fresh, its_optimizer = make()
    loaded = load_checkpoint(tmp_path / "c.safetensors", fresh, its_optimizer)
    assert (loaded.history, loaded.best_epoch, loaded.best_loss) == (progress.history, 1, 1 / 3)
    assert all(torch.equal(loaded.best_weights[k], best[k]) for k in best)
    step(fresh, its_optimizer, 2)
    for ours, theirs in zip(fresh.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_without_a_best_epoch_survives(tmp_path: Path) -> None:
    model, optimizer = make()
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, Progress())
    assert load_checkpoint(tmp_path / "c.safetensors", model, optimizer) == Progress()
