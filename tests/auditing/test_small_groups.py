"""In a whole audit groups of few people are joined or hidden, and nothing can be found by subtraction."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from memberscan import audit
from memberscan.errors import BadInputError, TooFewSubjectsError

from .conftest import MakePredictions, predictions_table


def test_exposure_and_residuals_of_one_audit_cannot_be_subtracted(tmp_path: Path):
    table = predictions_table(np.random.default_rng(3), 700)
    table["member"] = (np.random.default_rng(4).random(len(table)) < 0.15).astype(int)
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    content = audit(tmp_path / "p.tsv", attacks=["error"]).content
    edges = [re.findall(r"\d+", g["group"]) for g in content["exposure"]["groups"] if g["by"] == "age"]
    cuts = {float(edge) for named in edges for edge in named}
    cuts |= {band["low"] for band in content["residuals"]["bands"] if band["low"] is not None}
    assert len(cuts) >= 3
    for low, high in itertools.pairwise([-np.inf, *sorted(cuts), np.inf]):
        inside = table.loc[(table["age"] >= low) & (table["age"] < high), "member"]
        assert min(inside.sum(), (1 - inside).sum()) >= 10


def test_the_rule_can_be_stricter_but_never_below_five(predictions: MakePredictions):
    path = predictions(subjects=80)
    with pytest.raises(BadInputError, match="smallest_cell is 4; no cell of fewer than 5"):
        audit(path, smallest_cell=4)
    with pytest.raises(TooFewSubjectsError, match=r"40 members and 40 non-members.* at least 41"):
        audit(path, smallest_cell=41)
    for smallest in (5, 20):
        content = audit(path, attacks=["error"], smallest_cell=smallest).content
        assert content["disclosure"] == {"smallest_cell": smallest}
        counts = [g[s] for g in content["exposure"]["groups"] for s in ("members", "nonmembers")]
        assert all(count is None or count >= smallest for count in counts)


def test_a_group_of_one_hides_its_complement(tmp_path: Path):
    table = predictions_table(np.random.default_rng(7), 80)
    table.loc[0, "sex"] = "X"
    table.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    groups = audit(tmp_path / "p.tsv", attacks=["error"]).content["exposure"]["groups"]
    by_sex = {g["group"]: g for g in groups if g["by"] == "sex"}
    assert by_sex["X"]["members"] is by_sex["X"]["auc"] is None and "fewer than 10" in by_sex["X"]["reason"]
    assert sum(g["members"] is None for g in by_sex.values()) == 2
