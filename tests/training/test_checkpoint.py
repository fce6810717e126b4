from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import nn

from memberscan.errors import ModelError
from memberscan.training.checkpoint import (
    Progress,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
    teachers_folder,
)


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
    assert repr(loaded.history) == repr(progress.history), "an epoch is a whole number, in every last byte"
    assert all(torch.equal(loaded.best_weights[k], best[k]) for k in best)
    step(fresh, its_optimizer, 2)
    for ours, theirs in zip(fresh.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_without_a_best_epoch_survives(tmp_path: Path) -> None:
    model, optimizer = make()
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, Progress())
    assert load_checkpoint(tmp_path / "c.safetensors", model, optimizer) == Progress()


def written(path: Path) -> bytes:
    model, optimizer = make()
    step(model, optimizer, 1)
    best = {k: v.clone() for k, v in model.state_dict().items()}
    save_checkpoint(path, model, optimizer, Progress([{"epoch": 1, "train": 0.5}], 1, 0.25, best))
    return path.read_bytes()


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_truncated_checkpoint_says_what_to_do(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(written(path)[:kept])
    with pytest.raises(ModelError, match=r"c\.safetensors.*damaged.*delete it"):
        load_checkpoint(path, *make())


@pytest.mark.parametrize(
    "content",
    [
        save({"model.weight": torch.zeros(2, 3)}),
        save({"weight": torch.zeros(2, 3)}, {"progress": "[[], 0, 1.0]"}),
        save({"model.weight": torch.zeros(2, 3), "model.bias": torch.zeros(2)}, {"progress": "[[], 0]"}),
        save({"model.weight": torch.zeros(2, 3), "model.bias": torch.zeros(2)}, {"progress": "[" * 10**5}),
        save({"model.weight": torch.zeros(2, 4), "model.bias": torch.zeros(2)}, {"progress": "[[], 0, 1.0]"}),
    ],
)
def test_a_checkpoint_of_something_else_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"(?s)c\.safetensors.*another model.*delete it"):
        load_checkpoint(tmp_path / "c.safetensors", *make())


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {name: value for name, value in t.items() if not name.endswith("exp_avg")},
        lambda t: {n: torch.zeros(()) if n.endswith("exp_avg") else v for n, v in t.items()},
        lambda t: {n: torch.zeros(3) if n.endswith("step") else v for n, v in t.items()},
    ],
)
def test_a_state_that_the_next_step_would_fail_on_is_refused(tmp_path: Path, change: Any) -> None:
    model, path = torch.nn.Linear(3, 1), tmp_path / "checkpoint.safetensors"
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(path, model, optimizer, Progress([{"epoch": 1}], 0, 1.0))
    with safe_open(path, framework="pt") as stored:
        said = stored.metadata()
    save_file(change(load_file(path)), path, said)
    with pytest.raises(ModelError, match="delete it, and run the same command again to train"):
        load_checkpoint(path, model, torch.optim.Adam(model.parameters()))


@settings(max_examples=40, deadline=5000)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=9)), max_size=4))
def test_any_damage_to_a_checkpoint_is_a_typed_error_or_goes_on(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "c.safetensors"
    data = bytearray(written(path))
    for place, patch in changes:
        start = int(place * len(data))
        data[start : start + len(patch)] = patch
    path.write_bytes(bytes(data))
    with contextlib.suppress(ModelError):
        load_checkpoint(path, *make())


def test_a_teacher_that_cannot_be_removed_is_said(tmp_path: Path) -> None:
    state = tmp_path / "c.safetensors"
    remove_checkpoint(state)
    # A file in place of the folder cannot be removed as one.
    teachers_folder(state).write_text("")
    with pytest.raises(OSError, match="c-teachers"):
        remove_checkpoint(state)
