"""The study of defences in federations on a toy: one row per defence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memberscan.errors import OutputConflictError
from memberscan.studies import STUDIES, federated
from memberscan.studies import federated_defences as module


def test_each_defence_has_a_row_and_is_paired_with_no_defence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SUBJECTS": 70, "HELD_OUT": 0.35, "SPACING": 12.0, "SEEDS": 2, "ROUNDS": 2}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(federated, "WIDTH", 4)
    monkeypatch.setattr(federated, "LOCAL_EPOCHS", 1)
    points = [module.POINTS[0], module.POINTS[2]]
    assert points[1].defence == "fedsparsify:sparsity=0.95"
    monkeypatch.setattr(module, "POINTS", points)
    table = STUDIES["federated-defences"](tmp_path, seed=0, run=None)
    assert table["defence"].tolist() == [point.name for point in points]
    changes = table.filter(regex="_(change|se)$")
    assert (changes.iloc[0] == 0).all()
    assert np.isfinite(changes.to_numpy()).all()
    assert table["sparsity"].iloc[0] < 0.05
    assert table["sparsity"].iloc[1] == pytest.approx(0.95, abs=0.02)
    assert table[["learner_auc", "server_auc"]].stack().between(0, 1).all()
    error = table["error"] - table["error"].iloc[0]
    np.testing.assert_allclose(table["error_change"], error)
    # What was found is kept, so that the same table is made without any training.
    monkeypatch.setattr(module, "federate", None)
    assert STUDIES["federated-defences"](tmp_path, seed=0, run=None).equals(table)
    # What was found with one defence is not taken for another one's.
    monkeypatch.setattr(module, "POINTS", [points[0], module.Point("noise", "dp-sgd:epsilon=100")])
    with pytest.raises(OutputConflictError, match="fedsparsify"):
        STUDIES["federated-defences"](tmp_path, seed=0, run=None)
