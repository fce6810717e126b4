"""The study of heads on a toy: one row per head, paired with the single number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.models.heads import HEADS
from memberscan.studies import heads


def measures(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 8)), columns=[f"m{n}" for n in range(8)])
    table.insert(0, "sex", rng.integers(1, 3, 60))
    table.insert(0, "age", rng.uniform(20, 80, 60).round(1))
    table.insert(0, "participant_id", [f"sub-{n}" for n in range(60)])
    (folder / "morphometry").mkdir()
    table.to_csv(folder / heads.MEASURES, index=False)
    return folder


def test_there_is_a_row_for_each_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MODELS", 2)
    monkeypatch.setattr(heads, "WIDTH", 4)
    found = heads.heads(tmp_path / "out", data=measures(tmp_path), epochs=2)
    assert found["head"].tolist() == [name for name, head in HEADS.items() if head.standardised]
    assert found[["error", "loss", "learnt", "uncertainty"]].stack().between(0, 1).all()
    point = found.set_index("head").loc["squared-error"]
    # On a single number, both attacks are the same, and nothing is added.
    assert (point["loss"], point["uncertainty"]) == (point["error"], point["learnt"])
    assert point[["loss_more", "loss_more_se", "uncertainty_more", "uncertainty_more_se"]].tolist() == [0] * 4
    assert (found["loss_more"] - (found["loss"] - point["error"])).abs().max() < 1e-12
    assert (tmp_path / "out" / "heads.tsv").is_file()
