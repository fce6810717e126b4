"""The study of canaries in small: bounds of a true guarantee hold, and a training without noise is found."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from memberscan.studies import canaries as study


def test_a_true_guarantee_is_not_broken_and_bugs_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "CANARIES", 60)
    monkeypatch.setattr(study, "MEMBERS", 10)
    true, false = "dp-sgd", "memberscan.studies.planted_bugs"
    cases = (
        study.Case("coins after it", true, 0.0),
        study.Case("dp-sgd", true, 1.0),
        study.Case("noise left out", f"{false}:WithoutNoise", 1.0, few=True),
        study.Case("clipped by scan", f"{false}:ClippedByScan", 4.0, scans=6, few=True),
        study.Case("each person twice", f"{false}:PersonTwice", 8.0, few=True),
    )
    monkeypatch.setattr(study, "CASES", cases)
    table = study.canaries(tmp_path, runs=2, of_bugs=1).set_index("training")
    assert table["runs"].tolist() == [2, 2, 1, 1, 1]
    assert table["broken"].tolist()[:3] == [0.0, 0.0, 1.0]
    # With twice and six times the sensitivity the bounds are above those of the true training.
    assert table.loc["clipped by scan", "gaussian"] > 1 and table.loc["each person twice", "gaussian"] > 1
    stored = pd.read_csv(tmp_path / "canaries.tsv", sep="\t")
    assert stored["training"].tolist() == [case.training for case in cases]
    assert not list(tmp_path.glob("run-*")), "runs are deleted"
