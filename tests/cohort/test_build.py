from __future__ import annotations

import errno
import json
import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.cohort.ages import Age
from memberscan.cohort.build import ScanSource, _turn, build_volumes, shared_content
from memberscan.cohort.conform import Conformed
from memberscan.errors import BadInputError, CohortError, DiskFullError, OutputConflictError, StaleError

from ..children import start
from .conftest import BidsMaker, people, small_image

PEOPLE = pd.DataFrame({"sex": ["F", "M", "F", "M"]}, index=["sub-1", "sub-2", "sub-3", "sub-4"])
SPACING = 16.0


def source(
    subject: str, load: Callable[[], Any], *, age: float = 50, stamp: str = "1", scan: str = ""
) -> ScanSource:
    return ScanSource(scan or subject, subject, "", Age(age), load, "" if np.isnan(age) else str(age), stamp)


def four(**changes: ScanSource) -> list[ScanSource]:
    usual = {f"sub-{n}": source(f"sub-{n}", lambda n=n: small_image(n), age=40 + n) for n in (3, 1, 4, 2)}
    return list((usual | {key.replace("_", "-"): scan for key, scan in changes.items()}).values())


def build(path: Path, sources: list[ScanSource], **changes: Any) -> Cohort:
    options = {"request": {"test": 1}, "prepare": Conformed(SPACING), "source": "test", "synthetic": False}
    build_volumes(path, sources, PEOPLE, **(options | {"workers": 2} | changes))
    return Cohort.open(path)


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.name != "timings.jsonl"}


def test_rows_follow_the_sorted_ids_whatever_the_order(tmp_path: Path) -> None:
    cohort = build(tmp_path / "c", four())
    assert cohort.scans["row"].tolist() == [0, 1, 2, 3]
    assert cohort.scans.index.tolist() == ["sub-1", "sub-2", "sub-3", "sub-4"]
    assert cohort.scans["age"].tolist() == [41, 42, 43, 44]
    assert cohort.scans["sex"].tolist() == ["F", "M", "F", "M"]
    assert cohort.excluded.empty
    reverse = build(tmp_path / "d", four()[::-1], workers=1)
    assert contents(tmp_path / "c") == contents(tmp_path / "d")
    assert reverse.fingerprint == cohort.fingerprint


def _broken() -> Any:
    raise ValueError("no\nsuch   thing")


def _memory() -> Any:
    raise MemoryError


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (source("sub-2", _broken), r"unreadable \(ValueError: no such thing\)"),
        (source("sub-2", _memory), "unreadable"),
        (source("sub-2", lambda: nib.Nifti1Image(np.zeros((7, 8, 9, 2)), np.eye(4))), "4-D"),
        (source("sub-2", lambda: nib.Nifti1Image(np.zeros((7, 8, 9)), np.eye(4))), "constant"),
        (source("sub-2", lambda: nib.Nifti1Image(np.full((7, 8, 9), np.nan), np.eye(4))), "NaN"),
        (source("sub-2", lambda: small_image(2), age=np.nan), "no age"),
        (source("sub-2", lambda: small_image(2), age=-3), "implausible age"),
        (source("sub-2", lambda: small_image(2), age=720), "implausible age"),
    ],
)
def test_one_bad_scan_is_listed_and_stops_nothing(tmp_path: Path, scan: ScanSource, reason: str) -> None:
    cohort = build(tmp_path / "c", four(sub_2=scan))
    assert cohort.scans.index.tolist() == ["sub-1", "sub-3", "sub-4"]
    assert cohort.excluded["scan_id"].tolist() == ["sub-2"]
    assert cohort.excluded["reason"].str.match(reason).all()
    assert not np.load(tmp_path / "c" / "volumes.npy")[1].any()
    np.testing.assert_array_equal(cohort.read(["sub-4"]), np.load(tmp_path / "c" / "volumes.npy")[[3]])


def test_one_image_under_two_ids_takes_both_out(tmp_path: Path) -> None:
    cohort = build(tmp_path / "c", four(sub_2=source("sub-2", lambda: small_image(4))))
    assert cohort.scans.index.tolist() == ["sub-1", "sub-3"]
    assert cohort.excluded["scan_id"].tolist() == ["sub-2", "sub-4"]
    assert cohort.excluded["reason"].str.contains("one image under two ids").all()
    assert not np.load(tmp_path / "c" / "volumes.npy")[[1, 3]].any()


def test_one_image_twice_under_one_subject_is_no_reason_to_exclude() -> None:
    scans = pd.DataFrame({"scan_id": list("abcd"), "subject_id": list("xxyz"), "digest": list("1123")})
    assert shared_content(scans, "one image") == {}
    scans["digest"] = list("1122")
    assert set(shared_content(scans, "one image")) == {"c", "d"}


def test_no_survivor_is_an_error_that_gives_reasons(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"all 1 scans are excluded \(sub-1: unreadable"):
        build(tmp_path / "c", [source("sub-1", _broken)])
    with pytest.raises(CohortError, match="unfinished"):
        Cohort.open(tmp_path / "c")
    assert "sub-1" in (tmp_path / "c" / "excluded.tsv").read_text()


def test_a_finished_cohort_is_left_alone(tmp_path: Path) -> None:
    build(tmp_path / "c", four())
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "c").iterdir()}
    build(tmp_path / "c", four(sub_2=source("sub-2", _broken, age=42)))
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "c").iterdir()} == before


def test_changed_data_are_refused_once_the_cohort_is_finished(tmp_path: Path) -> None:
    build(tmp_path / "c", four())
    for changed in (source("sub-2", _broken, age=42, stamp="2"), source("sub-2", _broken, age=43)):
        with pytest.raises(StaleError, match="changed since"):
            build(tmp_path / "c", four(sub_2=changed))


def test_another_request_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "c", four())
    with pytest.raises(OutputConflictError, match="another configuration"):
        build(tmp_path / "c", four(), request={"test": 2})


def test_resuming_makes_only_what_is_missing_and_what_changed(tmp_path: Path) -> None:
    build(tmp_path / "whole", four(sub_3=source("sub-3", lambda: small_image(9), age=43, stamp="2")))
    path = tmp_path / "part"
    build(path, four())
    (path / "cohort.json").unlink()
    lines = (path / "ledger.jsonl").read_text().splitlines(keepends=True)
    (path / "ledger.jsonl").write_text(lines[0] + lines[2] + lines[3] + lines[1][:40])
    made: list[str] = []

    def loader(number: int, image: int) -> Callable[[], Any]:
        def load() -> Any:
            made.append(f"sub-{number}")
            return small_image(image)

        return load

    build(
        path,
        [
            source(f"sub-{n}", loader(n, 9 if n == 3 else n), age=40 + n, stamp="2" if n == 3 else "1")
            for n in (1, 2, 3, 4)
        ],
    )
    assert sorted(made) == ["sub-2", "sub-3"]
    assert contents(path) == contents(tmp_path / "whole")


def test_a_scan_that_turned_bad_before_resuming_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = source("sub-2", _broken, age=42, stamp="2")
    build(tmp_path / "whole", four(sub_2=broken))
    build(tmp_path / "part", four())
    (tmp_path / "part" / "cohort.json").unlink()
    build(tmp_path / "part", four(sub_2=broken))
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_a_full_disk_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "whole", four())
    real, room = os.pwrite, [3]

    def pwrite(descriptor: int, data: memoryview, at: int) -> int:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(DiskFullError):
            build(tmp_path / "c", four())
    assert len((tmp_path / "c" / "ledger.jsonl").read_text().splitlines()) == 2
    build(tmp_path / "c", four())
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")


@pytest.mark.parametrize("spacing", [0.5, 21, float("nan"), -4])
def test_odd_spacings_are_refused(spacing: float) -> None:
    with pytest.raises(BadInputError, match="spacing"):
        Conformed(spacing)


def test_no_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="workers"):
        build(tmp_path / "c", four(), workers=0)


def test_wall_times_stay_out_of_the_results(tmp_path: Path) -> None:
    build(tmp_path / "c", four())
    line = json.loads((tmp_path / "c" / "timings.jsonl").read_text())
    assert line["scans"] == 4
    assert line["seconds"] > 0


@pytest.mark.parametrize("write", range(5))
def test_stopped_at_any_of_the_last_writes_it_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    twins = {"sub_2": source("sub-2", lambda: small_image(4), age=42)}
    build(tmp_path / "whole", four(**twins))
    real, left = Path.replace, [write]

    def replace(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "c", four(**twins))
    assert not (tmp_path / "c" / "cohort.json").exists()
    build(tmp_path / "c", four(**twins))
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")


BUILD = "from memberscan.cohort import Cohort; Cohort.from_bids(root, path, spacing=3)"


def test_killed_at_random_moments_it_ends_in_the_same_bytes(tmp_path: Path, bids: BidsMaker) -> None:
    images: dict[str, Any] = {f"sub-{n:02d}_T1w.nii": small_image(n % 20) for n in range(21)}
    images["sub-50_T1w.nii"] = b"not an image"
    root = bids(images, {"participants.tsv": people({name.split("_")[0]: 50 for name in images})})
    whole = Cohort.from_bids(root, tmp_path / "whole", spacing=3)
    assert len(whole) == 19
    assert len(whole.excluded) == 3
    path, chance = tmp_path / "killed", random.Random(0)
    kills = 0
    for target in sorted(chance.sample(range(20), 4)):
        child = start(BUILD, root=root, path=path)
        while child.is_alive() and _finished_scans(path) < target:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        child.kill()
        child.join()
        kills += child.exitcode == -signal.SIGKILL
    assert kills >= 3
    child = start(BUILD, root=root, path=path)
    child.join()
    assert child.exitcode == 0
    assert contents(path) == contents(tmp_path / "whole")


def _finished_scans(path: Path) -> int:
    ledger = path / "ledger.jsonl"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def test_a_ledger_of_another_version_or_damaged_is_not_gone_on_with(tmp_path: Path) -> None:
    build(tmp_path / "whole", four())
    path = tmp_path / "part"
    build(path, four())
    (path / "cohort.json").unlink()
    lines = [json.loads(line) for line in (path / "ledger.jsonl").read_text().splitlines()]
    lines[0]["statistics"] = {"image_other": 1.0}
    lines[1]["statistics"]["image_p05"] = "bright"
    lines[2]["row"] = True
    spoilt = [*map(json.dumps, lines[:3]), "[1, 2]", "[" * 50_000, "1" * 5000, json.dumps(lines[3])]
    (path / "ledger.jsonl").write_text("\n".join(spoilt) + "\n")
    build(path, four())
    assert contents(path) == contents(tmp_path / "whole")


def test_large_images_take_turns() -> None:
    small, large = np.empty((7, 8, 9), np.uint8), np.broadcast_to(np.uint8(0), (512, 512, 400))
    assert _turn(large) is _turn(large)
    assert _turn(small) is not _turn(large)


def test_odd_values_do_not_warn_without_a_name(tmp_path: Path) -> None:
    image = small_image(2)
    data = np.asarray(image.dataobj, dtype=np.float64)
    data[3, 3, 3] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cohort = build(
            tmp_path / "c", four(sub_2=source("sub-2", lambda: nib.Nifti1Image(data, image.affine), age=42))
        )
    assert cohort.excluded["reason"].tolist() == ["NaN or infinite values in the image"]
