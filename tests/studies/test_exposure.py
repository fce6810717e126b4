"""The study of exposure, with few repetitions."""

from __future__ import annotations

import pytest

from memberscan.studies import exposure as study


def test_what_is_estimated_is_near_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "REFERENCES", (4, 12))
    kept = {name: study.SCENARIOS[name] for name in ("overfit", "half untouched", "all untouched")}
    monkeypatch.setattr(study, "SCENARIOS", kept)
    table = study.exposure(repetitions=4).set_index(["scenario", "references"])
    overfit = table.loc[("overfit", 12)]
    assert overfit["mean"] == pytest.approx(overfit["true_mean"], abs=0.02)
    assert overfit["top"] == pytest.approx(overfit["true_top"], abs=0.05)
    assert overfit["right"] == pytest.approx(overfit["best_right"], abs=0.06)
    assert overfit["covered"] > 0.85 and overfit["listed"] > 200 and overfit["false"] == 0
    assert table.loc[("half untouched", 12), "false"] < 0.2
    alone = table.loc[("all untouched", 12)]
    assert alone["true_mean"] == 0.5 and alone["mean"] < 0.57
    assert alone["right"] == pytest.approx(0.5, abs=0.08)
    assert table.loc[("overfit", 4), ["right", "covered"]].isna().all()
