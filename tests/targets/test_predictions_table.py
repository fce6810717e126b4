"""A table of predictions as a target: outputs only, and the order of rows decides nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.targets import PredictionsTable
from memberscan.threat import Access, ThreatModel


def write(path: Path, order: np.ndarray | None = None) -> Path:
    rng = np.random.default_rng(0)
    age = rng.uniform(45, 80, 60).round(1)
    table = pd.DataFrame(
        {
            "scan_id": [f"scan {n:02d}" for n in range(60)],
            "subject_id": [f"s{n // 2:02d}" for n in range(60)],
            "age": age,
            "prediction": (age + rng.normal(0, 4, 60)).round(2),
            "member": np.arange(60) // 2 % 2,
            "volume": rng.normal(1500, 100, 60).round(1),
        }
    )
    table.iloc[slice(None) if order is None else order].to_csv(path, sep="\t", index=False)
    return path


def test_the_order_of_rows_decides_nothing(tmp_path: Path):
    one = PredictionsTable.read(write(tmp_path / "a.tsv"), ThreatModel(), seed=1)
    order = np.random.default_rng(1).permutation(60)
    other = PredictionsTable.read(write(tmp_path / "b.tsv", order), ThreatModel(), seed=1)
    assert one.scans.index.is_monotonic_increasing
    assert other.scans.equals(one.scans) and other.covariates.equals(one.covariates)
    np.testing.assert_array_equal(other.predictions, one.predictions)
    np.testing.assert_array_equal(other.member, one.member)
    for a, b in zip(one.comparisons(learns=True), other.comparisons(learns=True), strict=True):
        np.testing.assert_array_equal(a.sides, b.sides)
    assert one.provenance()["predictions"] != other.provenance()["predictions"]


def test_rows_stay_together(tmp_path: Path):
    path = write(tmp_path / "p.tsv", np.random.default_rng(2).permutation(60))
    written = pd.read_csv(path, sep="\t", index_col="scan_id")
    table = PredictionsTable.read(path, ThreatModel())
    kept = written.loc[table.scans.index]
    np.testing.assert_array_equal(table.predictions, kept["prediction"])
    np.testing.assert_array_equal(table.scans["label"], kept["age"])
    np.testing.assert_array_equal(table.covariates["volume"], kept["volume"])
    np.testing.assert_array_equal(table.member_of_scan, kept["member"] == 1)


@pytest.mark.parametrize("access", Access)
def test_nobody_sees_more_than_outputs(access: Access, tmp_path: Path):
    table = PredictionsTable.read(write(tmp_path / "p.tsv"), ThreatModel(Access.WEIGHTS))
    assert (table.lacks(access) is None) == (access is Access.OUTPUTS)
    assert table.shows is Access.OUTPUTS
    assert table.landmarks == {} == table.layer_paths(["output"])
    assert table.gradient_obstacle(None) is table.activation_obstacle("output") is table.conceals is None


def test_it_does_not_say_how_its_members_were_drawn(tmp_path: Path):
    table = PredictionsTable.read(write(tmp_path / "p.tsv"), ThreatModel())
    facts = table.describe()
    assert (facts["kind"], facts["model"], facts["parameters"]) == ("predictions", "unknown", None)
    assert not facts["randomised"] and not facts["synthetic"] and not table.groups[0].randomised
    assert table.roles_digest is None
    assert {name for name, value in table.provenance().items() if value} == {"predictions"}
    assert table.known_people == (7, 7)
