"""The study of overfitting on a toy: its table and figure, and the same ones again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from memberscan.studies import STUDIES, overfitting


def test_it_writes_its_table_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(overfitting, "SUBJECTS", 24)
    monkeypatch.setattr(overfitting, "SPACING", 12.0)
    monkeypatch.setattr(overfitting, "WIDTH", 4)
    monkeypatch.setattr(overfitting, "EPOCHS", (2,))
    table = STUDIES["overfitting"](tmp_path, seed=0, run=None)
    assert table[["model", "epochs"]].values.tolist() == [["cnn3d", 2], ["slice-mean", 2]]
    assert (table["weights_add_low"] < table["weights_add"]).all()
    for box in ("black", "white"):
        assert (table[f"{box}_accuracy_low"] <= table[f"{box}_accuracy"]).all()
    figure = (tmp_path / "overfitting.svg").read_bytes()
    assert b"<svg" in figure
    stored = pd.read_csv(tmp_path / "overfitting.tsv", sep="\t")
    assert stored["epochs"].tolist() == [2, 2]
    assert STUDIES["overfitting"](tmp_path, seed=0, run=None).equals(table)
