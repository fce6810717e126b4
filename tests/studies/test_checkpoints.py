"""The study of checkpoints on a toy: its table, the same one again, and which checkpoints are given."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from memberscan.studies import STUDIES, checkpoints, queries


def test_it_has_a_row_for_each_network_and_number_of_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queries, "SUBJECTS", 24)
    monkeypatch.setattr(queries, "SPACING", 16.0)
    monkeypatch.setattr(checkpoints, "WIDTH", 4)
    monkeypatch.setattr(checkpoints, "EPOCHS", 6)
    monkeypatch.setattr(checkpoints, "MODELS", 2)
    # Processes take long to start.
    monkeypatch.setattr(checkpoints, "in_order", lambda function, cases, _: map(function, cases))
    table = STUDIES["checkpoints"](tmp_path, seed=0, run=None)
    assert table[["model", "checkpoints"]].values.tolist() == [
        [model, count] for model in ("cnn3d", "slice-mean") for count in (0, 1, 2, 5)
    ]
    assert table[["nobody_known", "some_known"]].stack().between(0, 1).all()
    assert pd.read_csv(tmp_path / "checkpoints.tsv", sep="\t")["checkpoints"].tolist() == [0, 1, 2, 5] * 2
    kept = {path.parent.name: path.name for path in sorted((tmp_path / "cnn3d-0-kept").glob("*/*"))}
    assert kept == {
        "1": "epoch-0003.safetensors",
        "2": "epoch-0004.safetensors",
        "5": "epoch-0005.safetensors",
    }
    assert STUDIES["checkpoints"](tmp_path, seed=0, run=None).equals(table)
