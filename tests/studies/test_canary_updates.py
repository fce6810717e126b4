"""The study of canary updates in small: bounds of a right server hold, and mistakes are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.studies import canary_updates as study


def test_a_right_server_is_not_doubted_and_mistakes_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "WEIGHTS", 3000)
    table = study.canary_updates(tmp_path, runs=2, of_bugs=1)
    assert table["server"].tolist() == [case.server for case in study.CASES]
    assert table["broken"].tolist() == [0, 0, 0, 1, 1, 1] and table["runs"].tolist() == [2, 2, 2, 1, 1, 1]
    assert (table["exact"] <= table["epsilon"])[:3].all() and (table["exact"] > 2 * table["epsilon"])[
        3:
    ].all()
    assert (table.loc[:2, "gaussian_auc"] <= table.loc[:2, "exact"]).all() and (table["estimate"] > 0).any()
    stored = pd.read_csv(tmp_path / "canary-updates.tsv", sep="\t")
    np.testing.assert_allclose(stored["gaussian_auc"], table["gaussian_auc"], atol=1e-4)
