"""Weights in checkpoints: of training loops, and of Lightning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from memberscan.errors import ModelError
from memberscan.models.weights import load_weights, read_weights

from .test_weights import nested


def test_the_weights_of_a_checkpoint_are_found_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    state = network.state_dict()
    torch.save({"epoch": 3, "model": state, "optimizer": optimizer.state_dict()}, tmp_path / "w.pt")
    assert torch.equal(read_weights(tmp_path / "w.pt")["weight"], state["weight"])
    assert "is a checkpoint; its weights are those under 'model'" in caplog.text
    torch.save({"model": state, "ema": state}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="tensors under 'model', 'ema': save one alone"):
        read_weights(tmp_path / "w.pt")


def test_a_checkpoint_of_lightning_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lightning = pytest.importorskip("lightning", reason="make test-all installs it")

    class Lab(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, width: int = 2) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nested()
            self.register_buffer("loss_weight", torch.ones(width))

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            loss = self.net(batch[0]).square().mean()
            self.log("loss", loss)
            return loss  # type: ignore[no-any-return]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 3)), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path
    )
    module = Lab()
    trainer.fit(module, data)
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    network = nested()
    load_weights(network, read_weights(checkpoint), source=str(checkpoint))
    assert torch.equal(network[0].weight, module.net[0].weight)
    assert "loss_weight" in caplog.text
