"""The studies of federations on toys: their tables and figure, and the same ones again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from memberscan.studies import STUDIES, federated, parties


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (federated, parties):
        monkeypatch.setattr(module, "SUBJECTS", 70)
        monkeypatch.setattr(module, "LEARNERS", 4)
        monkeypatch.setattr(module, "HELD_OUT", 0.35)
        monkeypatch.setattr(module, "SPACING", 12.0)
    monkeypatch.setattr(federated, "ENVIRONMENTS", ("uniform-iid", "skewed-noniid"))
    monkeypatch.setattr(federated, "WIDTH", 4)
    monkeypatch.setattr(federated, "LOCAL_EPOCHS", 1)
    monkeypatch.setattr(federated, "ROUNDS", {"cnn3d": 2, "slice-mean": 1})


@pytest.mark.usefixtures("toy")
def test_the_environments_give_a_row_and_a_curve_each(tmp_path: Path):
    table = STUDIES["federated"](tmp_path, seed=0, run=None)
    assert table["model"].tolist() == ["cnn3d"] * 2 + ["slice-mean"] * 2
    assert (table["accuracy_last_low"] <= table["accuracy_last"]).all()
    iid = table["environment"].str.endswith("-iid")
    # With ages dealt out by quarter, covariates alone tell the youngest and the oldest learners' people.
    assert (table.loc[~iid, "learners_told_blind"] >= 1).all()
    course = pd.read_csv(tmp_path / "rounds.tsv", sep="\t")
    assert course.groupby("model")["round"].max().to_dict() == {"cnn3d": 2, "slice-mean": 1}
    assert b"<svg" in (tmp_path / "federated.svg").read_bytes()
    assert STUDIES["federated"](tmp_path, seed=0, run=None).equals(table)


@pytest.mark.usefixtures("toy")
def test_server_and_learner_attack_the_same_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parties, "SEEDS", 2)
    monkeypatch.setattr(parties, "SECRET_ROUNDS", 1)
    table = STUDIES["parties"](tmp_path, seed=0, run=None)
    assert table["updates"].tolist() == ["in the clear", "in the clear", "encrypted"]
    clear = table[table["updates"] == "in the clear"]
    difference = clear["server_auc"] - clear["learner_auc"]
    assert difference.to_numpy() == pytest.approx(clear["server_ahead_by"].to_numpy())
    assert (clear["low"] < clear["server_ahead_by"]).all()
    assert table["server_attacks_run"].tolist() == [1, 1, 0]
