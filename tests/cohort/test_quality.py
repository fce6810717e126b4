"""The table of quality: who was kept and why not, and which scans are unlike the others."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memberscan.cohort import Cohort
from memberscan.cohort.quality import COLUMNS, modified_z, quality, unusual, write_quality
from memberscan.errors import CohortError
from memberscan.files import read_table

from .conftest import BidsMaker, people, small_image

VALUES = arrays(float, st.integers(1, 30), elements=st.integers(-1000, 1000).map(float))


def naive_z(values: list[float]) -> list[float]:
    centre = median(values)
    scale = median(abs(value - centre) for value in values)
    return [0.6745 * (value - centre) / scale if scale else 0.0 for value in values]


@given(VALUES)
def test_modified_z_is_that_of_its_definition(values: np.ndarray) -> None:
    assert modified_z(values) == pytest.approx(naive_z(values.tolist()))


def test_few_normal_values_are_unusual() -> None:
    draws = np.random.default_rng(0).normal(5, 3, 100_000)
    # Of a standard normal, 4.7 in 10,000 values are beyond 3.5.
    assert np.mean(np.abs(modified_z(draws)) > 3.5) == pytest.approx(4.7e-4, abs=2e-4)


def test_a_scan_unlike_the_others_is_named_with_the_statistic() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"image_p50": rng.normal(100, 5, 20), "image_sharpness": rng.normal(1, 0.1, 20)})
    table.loc[3, "image_p50"] = 900
    assert unusual(table) == ["image_p50" if row == 3 else "" for row in range(20)]
    # Nine scans are too few, and equal values have no scale.
    assert unusual(table[:9]) == [""] * 9
    assert unusual(table.assign(image_p50=1.0, image_sharpness=1.0)) == [""] * 20


def test_a_cohort_without_statistics_has_nothing_unusual(table: Cohort) -> None:
    found = quality(table)
    assert set(found["unusual"]) == {""} and set(found["kept"]) == {"yes"}
    assert "image_p50" not in found


def test_kept_and_excluded_scans_are_listed(bids: BidsMaker, tmp_path: Path) -> None:
    images = {f"sub-{n}_T1w.nii.gz": small_image(n) for n in (1, 2)} | {"sub-3_T1w.nii.gz": b"torn"}
    root = bids(images, {"participants.tsv": people({"sub-1": 60, "sub-2": 61, "sub-3": 62})})
    table = quality(Cohort.from_bids(root, tmp_path / "c", spacing=16))
    assert table["kept"].tolist() == ["yes", "yes", "no"]
    assert table["reason"].isna().tolist() == [True, True, False] and "unreadable" in table["reason"][2]
    assert list(table.columns) == list(COLUMNS)
    write_quality(table, tmp_path / "quality.tsv")
    assert (tmp_path / "quality.tsv").stat().st_mode & 0o777 == 0o600
    assert read_table(tmp_path / "quality.tsv")["scan_id"].tolist() == ["sub-1", "sub-2", "sub-3"]
    assert "\t\t" not in (tmp_path / "quality.tsv").read_text()
    assert set(json.loads((tmp_path / "quality.json").read_text())) == set(COLUMNS)


def test_only_the_people_asked_for_are_taken(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids(
        {f"sub-0{n}_T1w.nii.gz": small_image(n) for n in (1, 2, 3)},
        {"participants.tsv": people({"sub-01": 60, "sub-02": 61, "sub-03": 62})},
    )
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=16, participants=["01", "sub-03"])
    assert cohort.subjects == ["sub-01", "sub-03"]
    # The same people in another order are the same request; other people are not.
    assert Cohort.from_bids(root, tmp_path / "c", spacing=16, participants=["sub-03", "01"]).subjects
    with pytest.raises(CohortError, match="no such image of 1, 4"):
        Cohort.from_bids(root, tmp_path / "d", spacing=16, participants=["1", "4", "02"])
