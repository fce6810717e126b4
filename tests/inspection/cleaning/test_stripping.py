"""The cleaned copy holds nothing that was found, and the weights that it keeps are the same bits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file

from memberscan.inspection.cleaning.stripping import Cleaning
from memberscan.inspection.content import CleanedFile
from memberscan.inspection.listing import listed
from memberscan.inspection.reading import Task

IDS = [f"sub-{k:04d}" for k in range(12)]
WEIGHTS = {"conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "out.bias": np.ones(3)}


def cleaned(path: Path) -> tuple[CleanedFile, Path]:
    scratch, copy = path.parent / "scratch", path.parent / "copy" / path.name
    scratch.mkdir(exist_ok=True)
    return Cleaning(Task(path, path.name, path.stat().st_size), copy).carry_out(None, scratch), copy


def test_a_clean_file_is_copied_byte_for_byte(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path)
    done, copy = cleaned(path)
    assert done.action == "copied" and copy.read_bytes() == path.read_bytes()


def test_metadata_of_safetensors_goes_and_tensors_stay(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    more = WEIGHTS | {"embeddings": np.ones((40, 8), np.float32)}
    save_file(more, path, metadata={"format": "pt", "trained_on": " ".join(IDS)})
    done, copy = cleaned(path)
    assert done.action == "cleaned" and "equal bit by bit" in done.said and IDS[0] not in done.said
    after = load_file(copy)
    assert set(after) == set(WEIGHTS) and all(np.array_equal(after[name], WEIGHTS[name]) for name in WEIGHTS)
    assert IDS[0].encode() not in copy.read_bytes()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_keeps_its_weights_only(tmp_path: Path, legacy: bool):
    path = tmp_path / "last.pt"
    state = {name: torch.from_numpy(value) for name, value in WEIGHTS.items()}
    content = {
        "model": state,
        "epoch": 3,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "history": {"people": {"participant_id": IDS, "age": list(range(12))}, "loss": [3.0, 2.0]},
        "train_subjects": IDS,
    }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    done, copy = cleaned(path)
    assert done.action == "cleaned", done.said
    after = torch.load(copy, weights_only=True)
    assert set(after) == {"model", "epoch", "history"} and after["history"] == {"loss": [3.0, 2.0]}
    assert all(torch.equal(after["model"][name], state[name]) for name in state)
    assert IDS[0].encode() not in copy.read_bytes()


def test_types_that_would_change_are_left_out(tmp_path: Path):
    path = tmp_path / "half.pt"
    torch.save({"w": torch.ones(3, dtype=torch.bfloat16), "ids": IDS}, path)
    done, copy = cleaned(path)
    assert done.action == "left out" and not copy.exists()


def test_arrays_json_and_notebooks(tmp_path: Path):
    np.savez(tmp_path / "a.npz", w=np.arange(5.0), ids=np.array(IDS))
    done, copy = cleaned(tmp_path / "a.npz")
    assert done.action == "cleaned" and set(np.load(copy)) == {"w"}
    (tmp_path / "config.json").write_text(json.dumps({"layers": 3, "data": {"train": IDS, "size": 12}}))
    done, copy = cleaned(tmp_path / "config.json")
    assert done.action == "cleaned" and json.loads(copy.read_text()) == {"layers": 3, "data": {"size": 12}}
    output = {"output_type": "stream", "name": "stdout", "text": IDS}
    cell = {
        "cell_type": "code",
        "source": "print(ids)",
        "metadata": {},
        "execution_count": 1,
        "outputs": [output],
    }
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "look.ipynb").write_text(json.dumps(notebook))
    done, copy = cleaned(tmp_path / "look.ipynb")
    assert done.action == "cleaned" and "print(ids)" in copy.read_text() and IDS[0] not in copy.read_text()


def test_other_formats_are_left_out(tmp_path: Path):
    pd.DataFrame({"participant_id": IDS, "age": range(12)}).to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "unknown.bin").write_bytes(bytes(range(256)))
    for name in ("people.csv", "unknown.bin"):
        done, copy = cleaned(tmp_path / name)
        assert done.action == "left out" and not copy.exists()


def test_more_about_a_tensor_than_its_type_and_shape_is_not_kept(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    header = {
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "note": "Jane Doe"},
        "X_train": {"dtype": "F32", "shape": [4, 2], "data_offsets": [8, 40]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + np.arange(10, dtype=np.float32).tobytes())
    done, copy = cleaned(path)
    assert done.action == "cleaned" and b"Jane" not in copy.read_bytes()
    assert np.array_equal(load_file(copy)["w"], np.arange(2, dtype=np.float32))


def test_weights_of_the_same_place_are_not_lost_in_silence(tmp_path: Path):
    path = tmp_path / "last.pt"
    torch.save({"a.X_train": torch.ones(2), "a": {"X_train": torch.ones(12, 3)}}, path)
    done, copy = cleaned(path)
    assert done.action == "left out" and "same place" in done.said and not copy.exists()


def test_a_history_and_lines_of_json_are_left_out_with_a_reason(tmp_path: Path):
    (tmp_path / ".git").mkdir()
    task = Task(tmp_path / ".git", ".git", 0, is_history=True)
    done = Cleaning(task, tmp_path / "copy" / ".git").carry_out(None, tmp_path)
    assert done.action == "left out" and "history" in done.said
    (tmp_path / "x.json").write_text("\n".join(json.dumps({"subject": each, "age": 30}) for each in IDS))
    done, copy = cleaned(tmp_path / "x.json")
    assert done.action == "left out" and done.said.endswith(".") and not copy.exists()


def test_files_of_one_name_do_not_replace_each_other(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder / "model").mkdir(parents=True)
        (tmp_path / folder / "model" / "w.json").write_text(json.dumps({"from": folder}))
        (tmp_path / folder / "c.json").write_text(json.dumps({"from": folder}))
    given = [tmp_path / folder / name for folder in ("a", "b") for name in ("model", "c.json")]
    tasks, _ = listed(given)
    assert [task.name for task in tasks] == ["c (2).json", "c.json", "model (2)/w.json", "model/w.json"]


def test_no_name_leaves_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("memberscan.inspection.listing._walk", lambda _: [(tmp_path / "x", "x")])
    (tmp_path / "x").write_text("x")
    (tmp_path / "y").write_text("y")
    tasks, _ = listed([Path("/"), tmp_path / "y"])
    assert {task.name for task in tasks} == {"root/x", "y"}
