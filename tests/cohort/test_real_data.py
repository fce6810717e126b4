"""On real scans and measures, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.cohort.bids import find_images

from .conftest import SHARED_DATA

pytestmark = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no real data beside the checkout")


def test_brains_of_ixi(tmp_path: Path) -> None:
    root = tmp_path / "ixi"
    root.mkdir()
    for name in ("participants.tsv", "participants.json"):
        (root / name).symlink_to(SHARED_DATA / "ixi" / name)
    for folder in sorted((SHARED_DATA / "ixi").glob("sub-*"))[:12]:
        (root / folder.name).symlink_to(folder)
    assert len(find_images(root)) == 12
    cohort = Cohort.from_bids(root, tmp_path / "c", select={"desc": "brain"}, spacing=4)
    assert len(cohort) == 12
    assert cohort.shape == (46, 55, 46)
    assert cohort.scans["age"].between(20, 82).all()
    volumes = cohort.read(list(cohort.scans.index))
    mean = volumes.mean(axis=0)
    # All the same way up: each is like the mean brain, and less like it when turned front to back or over.
    for scan in volumes:
        upright = np.corrcoef(scan.ravel(), mean.ravel())[0, 1]
        assert upright > 0.9
        assert upright > 0.05 + np.corrcoef(scan[:, ::-1].ravel(), mean.ravel())[0, 1]
        assert upright > 0.05 + np.corrcoef(scan[:, :, ::-1].ravel(), mean.ravel())[0, 1]


def test_tables_of_measures(tmp_path: Path) -> None:
    folder = SHARED_DATA / "morphometry"
    options = {"subject": "uid", "age": "age", "covariates": ["sex", "site", "sitenum"]}
    cohort = Cohort.from_table(folder / "openneuro.csv", tmp_path / "openneuro", **options)
    assert len(cohort) + len(cohort.excluded) == 546
    assert len(cohort.subjects) == 518
    assert cohort.covariates == ("sex", "site", "sitenum")
    assert cohort.ignored == ("sub_id", "split")
    assert np.isfinite(cohort.read(list(cohort.scans.index))).all()
    ixi = Cohort.from_table(
        folder / "ixi.csv", tmp_path / "ixi", subject="participant_id", age="age", covariates=["sex"]
    )
    assert (len(ixi), ixi.shape) == (556, (72,))
