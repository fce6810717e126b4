from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, CohortError, MisalignedError, StaleError

from .conftest import BidsMaker, people, small_image


@pytest.fixture
def cohort(bids: BidsMaker, tmp_path: Path) -> Cohort:
    images = {f"sub-{n}_T1w.nii": small_image(n) for n in range(5)}
    root = bids(images, {"participants.tsv": people({f"sub-{n}": 40 + n for n in range(5)})})
    return Cohort.from_bids(root, tmp_path / "cohort", spacing=16)


def test_read_gives_the_scans_asked_for_in_their_order(cohort: Cohort) -> None:
    ids = ["sub-4", "sub-0", "sub-4"]
    volumes = cohort.read(ids)
    assert volumes.dtype == np.float32
    assert volumes.shape == (3, *cohort.shape)
    for scan, volume in zip(ids, volumes, strict=True):
        np.testing.assert_array_equal(cohort.read([scan])[0], volume)
    np.testing.assert_array_equal(cohort.read(list(cohort.scans.index)), np.load(cohort.path / "volumes.npy"))
    assert cohort.read([]).shape == (0, *cohort.shape)


def test_read_touches_only_what_it_returns(cohort: Cohort) -> None:
    volume = cohort.read(["sub-1"])
    volume[:] = 0
    assert cohort.read(["sub-1"]).any()
    assert isinstance(cohort._store, np.memmap)


def test_unknown_ids_are_named(cohort: Cohort) -> None:
    with pytest.raises(MisalignedError, match=r"1 scan ids are not in .*: sub-9"):
        cohort.read(["sub-1", "sub-9"])


def test_what_it_says_of_itself(cohort: Cohort) -> None:
    assert len(cohort) == 5
    assert cohort.subjects == [f"sub-{n}" for n in range(5)]
    assert repr(cohort) == (
        "Cohort(BIDS dataset bids: 5 scans of 5 subjects, 40-44 years, 12x14x12 at 16 mm, 0 excluded)"
    )
    assert cohort.covariates == tuple(name for name in cohort.scans.columns if name.startswith("image_"))
    assert cohort.scans["age"].dtype.kind == "f"


def test_opening_again_gives_the_same(cohort: Cohort) -> None:
    again = Cohort.open(str(cohort.path))
    assert again.scans.equals(cohort.scans)
    assert again.fingerprint == cohort.fingerprint


def test_nothing_stored_can_execute_code(cohort: Cohort) -> None:
    assert {p.suffix for p in cohort.path.iterdir()} == {".json", ".jsonl", ".tsv", ".npy"}
    np.load(cohort.path / "volumes.npy", allow_pickle=False)


def test_missing_and_unfinished_cohorts(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such directory"):
        Cohort.open(tmp_path / "nowhere")
    with pytest.raises(CohortError, match="unfinished"):
        Cohort.open(tmp_path)


def test_ages_changed_by_hand_are_refused(cohort: Cohort) -> None:
    path = cohort.path / "scans.tsv"
    path.write_text(path.read_text().replace("40.0", "70.0"))
    with pytest.raises(StaleError, match=r"scans\.tsv was changed"):
        Cohort.open(cohort.path)


def test_a_cut_store_is_refused_before_it_can_crash_the_process(cohort: Cohort) -> None:
    os.truncate(cohort.path / "volumes.npy", 5000)
    with pytest.raises(CohortError, match="damaged"):
        Cohort.open(cohort.path)
    (cohort.path / "volumes.npy").unlink()
    with pytest.raises(CohortError, match="damaged"):
        Cohort.open(cohort.path)


def test_a_store_of_another_shape_is_refused(cohort: Cohort) -> None:
    np.save(cohort.path / "volumes.npy", np.zeros((5, 7, 8, 9), np.float16))
    with pytest.raises(CohortError, match="does not fit"):
        Cohort.open(cohort.path)


def test_a_newer_schema_is_refused(cohort: Cohort) -> None:
    path = cohort.path / "cohort.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": "memberscan.cohort/2"}))
    with pytest.raises(CohortError, match=r"memberscan\.cohort/2"):
        Cohort.open(cohort.path)
    path.write_text("{")
    with pytest.raises(BadInputError, match="not valid JSON"):
        Cohort.open(cohort.path)
