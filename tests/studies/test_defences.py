"""The leaderboard of defences on a toy: points on the frontier come first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.defences import defence_from
from memberscan.errors import BadInputError
from memberscan.studies import STUDIES, defences
from memberscan.training import TrainingConfig


def measures(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 60).round(1)
    features = 2.5 - 0.01 * age[:, None] + rng.normal(0, 0.2, (60, 6))
    table = pd.DataFrame(features, columns=[f"m{n}_thickness" for n in range(6)])
    described = {"uid": [f"p{n}" for n in range(60)], "age": age, "sex": rng.integers(0, 2, 60), "site": "a"}
    (folder / "morphometry").mkdir()
    table.assign(**described, m_volume=1.0).to_csv(folder / defences.MEASURES, index=False)
    return folder


@pytest.mark.usefixtures("here")
def test_points_on_the_frontier_come_first_and_failed_ones_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second point's constant is not near any feature, so that this point fails.
    points = ("prune:sparsity=0.5", "dp-sgd:epsilon=8,feature_center=1e30")
    board = defences.Board("Toy", "mlp", points, config=TrainingConfig(epochs=4, device="cpu"))
    monkeypatch.setattr(defences, "SHORT", (board,))
    out = tmp_path / "out"
    found = STUDIES["defences"](out, seed=0, run=None, data=measures(tmp_path))
    done = found[found["error"] != ""]
    assert {"undefended", "1 epoch", "2 epochs", "best epoch"} <= set(done["point"])
    on = done["frontier"].eq("yes").tolist()
    assert on[0]
    assert on == sorted(on, reverse=True)
    for side in (True, False):
        errors = done.loc[done["frontier"].eq("yes") == side, "error"].str.split().str[0].astype(float)
        assert errors.is_monotonic_increasing
    last = found.iloc[-1]
    assert last["dominated by"].startswith("failed: a feature of the table is")
    assert last["error"] == ""
    for column in ("error", "AUC"):
        assert done[column].str.fullmatch(r"\S+ \(\S+ to \S+\)").all()
    # Too few people to resolve a rate, or to say who is exposed, leave a cell empty.
    for column in ("TPR@5%", "exposed AUC"):
        assert done[column].str.fullmatch(r"|\S+ \(\S+ to \S+\)").all()
    lines = (out / "leaderboard.md").read_text().splitlines()
    assert sum(line.startswith("| ") for line in lines) == len(found) + 2
    assert (out / "cohort-measures").is_dir()
    assert not (pd.read_csv(out / "defences.tsv", sep="\t")["board"] != "Toy").any()


@pytest.mark.parametrize("board", defences.LONG, ids=lambda board: board.folder)
def test_every_point_of_the_boards_can_be_read(board: defences.Board) -> None:
    for point in board.points:
        if point != "dropout":
            defence_from(point)


def test_it_says_what_data_it_needs(tmp_path: Path) -> None:
    for data in (None, tmp_path):
        with pytest.raises(BadInputError, match=r"openneuro.csv: give the folder that has it as --data"):
            defences.defences(tmp_path / "out", data=data)
    with pytest.raises(BadInputError, match=r"needs ixi for --long"):
        defences.defences(tmp_path / "out", data=measures(tmp_path), long=True)
    assert not (tmp_path / "out").exists()
