"""From a file on disk to findings: each format with each kind, nested in archives, and hostile files."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import pickle
import sqlite3
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
import yaml
from safetensors.numpy import save_file
from scipy.io import savemat
from sklearn.neighbors import KNeighborsRegressor

from memberscan.inspection.reading import FileReport, Task

h5py = pytest.importorskip("h5py")

IDS = [f"sub-{k:04d}" for k in range(12)]
PEOPLE = pd.DataFrame({"participant_id": IDS, "age": np.linspace(20, 80, 12)})


def report(path: Path) -> FileReport:
    scratch = path.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return Task(path, path.name, path.stat().st_size).carry_out(None, scratch)


def kinds(path: Path) -> set[tuple[str, str]]:
    return {(each.kind, each.grade) for each in report(path).findings}


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["model/kernel"] = np.ones((3, 3))
        file["data/subjects"] = np.array(IDS, dtype="S")


def _onnx(path: Path) -> None:
    graph = onnx.helper.make_graph(
        [], "g", [], [], [onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")]
    )
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {"trained_on": ",".join(IDS)})
    onnx.save(model, path)


PLANTS: dict[str, Callable[[Path], object]] = {
    "model.pkl": lambda p: p.write_bytes(pickle.dumps({"coef": np.ones(3), "table": PEOPLE})),
    "model.joblib": lambda p: joblib.dump({"coef": np.ones(3), "subjects": IDS}, p, compress=3),
    "last.pt": lambda p: torch.save({"w": torch.ones(3), "train_subjects": IDS}, p),
    "old.pth": lambda p: torch.save(
        {"w": torch.ones(3), "ids": IDS}, p, _use_new_zipfile_serialization=False
    ),
    "m.safetensors": lambda p: save_file({"w": np.ones(3)}, p, metadata={"trained_on": " ".join(IDS)}),
    "ids.npy": lambda p: np.save(p, np.array(IDS)),
    "objects.npy": lambda p: np.save(p, np.array(IDS, dtype=object), allow_pickle=True),
    "a.npz": lambda p: np.savez(p, w=np.ones(3), subjects=np.array(IDS)),
    "model.h5": _hdf5,
    "model.onnx": _onnx,
    "model.mat": lambda p: savemat(p, {"w": np.ones(3), "subjects": np.array(IDS, dtype=object)}),
    "people.csv": lambda p: PEOPLE.to_csv(p, index=False),
    "people.tsv": lambda p: PEOPLE.to_csv(p, index=False, sep="\t"),
    "people.xlsx": lambda p: PEOPLE.to_excel(p, index=False),
    "people.json": lambda p: p.write_text(PEOPLE.to_json(orient="records")),
    "people.jsonl": lambda p: p.write_text(PEOPLE.to_json(orient="records", lines=True)),
    "config.yaml": lambda p: p.write_text(yaml.safe_dump({"train": IDS, "lr": 0.1})),
    "train.log": lambda p: p.write_text("\n".join(f"loading {each}_T1w.nii.gz" for each in IDS)),
    "look.ipynb": lambda p: p.write_text(
        json.dumps(
            {"cells": [{"cell_type": "code", "source": ["x"], "outputs": [{"text": IDS}]}], "nbformat": 4}
        )
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_ids_are_found_in_each_format_alone_and_nested(name: str, tmp_path: Path):
    path = tmp_path / name
    PLANTS[name](path)
    found = kinds(path)
    assert ("ids of people", "leaks") in found or ("table of people", "leaks") in found
    # Three levels: a compressed tar archive within a zip archive.
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(path, f"deep/{name}")
    with zipfile.ZipFile(tmp_path / "release.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.tar.gz", packed.getvalue())
    inner = report(tmp_path / "release.zip")
    assert any(each.grade == "leaks" and each.file.endswith(f"deep/{name}") for each in inner.findings)
    assert inner.ids >= set(IDS[:3])


def test_single_compressed_files_are_opened(tmp_path: Path):
    text = PEOPLE.to_csv(index=False).encode()
    for name, pack in (("p.csv.gz", gzip.compress), ("p.csv.bz2", bz2.compress)):
        (tmp_path / name).write_bytes(pack(text))
        assert ("table of people", "leaks") in kinds(tmp_path / name)


def test_a_model_that_stores_its_rows(tmp_path: Path):
    model = KNeighborsRegressor().fit(np.random.default_rng(0).normal(size=(30, 4)), np.arange(30.0))
    joblib.dump(model, tmp_path / "knn.joblib")
    found = report(tmp_path / "knn.joblib").findings
    assert {(each.kind, each.place) for each in found} >= {
        ("training rows", "_fit_X"),
        ("training rows", "_y"),
    }


class _Runs:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def _bomb() -> bytes:
    inner = bytes(10_000_000)
    for _ in range(4):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for k in range(10):
                archive.writestr(f"{k}", inner)
        inner = stream.getvalue()
    return inner


def test_nothing_is_executed_and_it_is_said(tmp_path: Path):
    marker = tmp_path / "executed"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"ids": IDS, "x": _Runs(f"touch {marker}")}))
    found = kinds(tmp_path / "evil.pkl")
    assert {("code in data", "look"), ("ids of people", "leaks")} <= found
    assert not marker.exists()


def test_paths_in_archives_are_only_shown(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("../../up.csv", PEOPLE.to_csv(index=False))
    before = set(tmp_path.rglob("*"))
    assert ("table of people", "leaks") in kinds(tmp_path / "up.zip")
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "scratch"}
    assert not (tmp_path.parent / "up.csv").exists()


def test_bombs_and_sparse_files_end_in_time(tmp_path: Path):
    (tmp_path / "bomb.zip").write_bytes(_bomb())
    with (tmp_path / "sparse.bin").open("wb") as file:
        file.truncate(1 << 28)
    begun = time.monotonic()
    assert any(each.unread for each in report(tmp_path / "bomb.zip").files)
    assert report(tmp_path / "sparse.bin").files[0].unread
    assert time.monotonic() - begun < 120


@pytest.mark.parametrize(
    "name", [name for name in PLANTS if name not in ("train.log", "people.csv", "people.tsv")]
)
def test_damaged_files_are_said_to_be_unread_or_found(name: str, tmp_path: Path):
    PLANTS[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9, 0.99):
        cut = bytearray(data[: int(share * len(data))])
        cut[rng.integers(len(cut))] ^= 0xFF
        (tmp_path / name).write_bytes(cut)
        found = report(tmp_path / name)
        # Nothing is raised, and what is not read is said: formats of text are read as text instead.
        assert found.files and (found.findings or found.files[0].unread or found.files[0].format)


def test_texts_of_an_unknown_format_are_searched_and_it_is_said(tmp_path: Path):
    with sqlite3.connect(tmp_path / "people.db") as database:
        PEOPLE.to_sql("people", database)
    # Bytes beside an id may be letters, too, so that a few are missed.
    assert len(report(tmp_path / "people.db").ids & set(IDS)) >= 10
    assert report(tmp_path / "people.db").files[0].unread.startswith("its format is not known")
