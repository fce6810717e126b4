from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort.store import Ledger, VolumeStore
from memberscan.errors import DiskFullError

SHAPE = (7, 8, 9)


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float16)


def test_rows_written_in_any_order_are_a_plain_npy_file(tmp_path: Path) -> None:
    path = tmp_path / "volumes.npy"
    with VolumeStore.open(path, 5, SHAPE) as store:
        for row in (3, 0, 4):
            store.write(row, volume(row))
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    assert stored.dtype == np.float16
    expected = [volume(n) if n in (3, 0, 4) else np.zeros(SHAPE) for n in range(5)]
    np.testing.assert_array_equal(stored, expected)


def test_reopening_keeps_rows_and_another_shape_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "volumes.npy"
    with VolumeStore.open(path, 3, SHAPE) as store:
        digest = store.write(1, volume(1))
    with VolumeStore.open(path, 3, SHAPE) as store:
        assert store.digest(1) == digest
    with VolumeStore.open(path, 4, SHAPE) as store:
        assert store.digest(1) == store.digest(0) != digest


def test_untouched_and_cleared_rows_are_zero_and_untouched_ones_take_no_space(tmp_path: Path) -> None:
    path = tmp_path / "volumes.npy"
    with VolumeStore.open(path, 1000, SHAPE) as store:
        store.write(7, volume(7))
        store.clear(7)
        store.clear(8)
    assert not np.load(path).any()
    assert path.stat().st_blocks * 512 < path.stat().st_size / 4


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, bytes(data)[:100], at))
    with VolumeStore.open(tmp_path / "volumes.npy", 2, SHAPE) as store:
        store.write(1, volume(1))
    np.testing.assert_array_equal(np.load(tmp_path / "volumes.npy")[1], volume(1))


def test_a_full_disk_is_an_error_that_says_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with VolumeStore.open(tmp_path / "volumes.npy", 2, SHAPE) as store:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(DiskFullError, match="what was finished is kept"):
            store.write(0, volume(0))


def _entry(store: VolumeStore, row: int) -> dict[str, object]:
    return {"scan_id": f"sub {row} é/x", "row": row, "stamp": "1:2", "digest": store.write(row, volume(row))}


def test_the_ledger_finds_what_was_added(tmp_path: Path) -> None:
    with VolumeStore.open(tmp_path / "volumes.npy", 2, SHAPE) as store:
        entry = _entry(store, 1)
        Ledger(tmp_path / "ledger").add(entry)
        assert Ledger(tmp_path / "ledger").find("sub 1 é/x", 1, "1:2", store) == entry


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path, store: path.write_bytes(path.read_bytes()[:-3]),
        lambda path, store: path.write_bytes(b"\xff\x00\n"),
        lambda path, store: path.unlink(),
        lambda path, store: store.write(1, volume(5)),
        lambda path, store: store.clear(1),
    ],
)
def test_nothing_is_trusted_that_is_not_as_the_ledger_says(
    tmp_path: Path, spoil: Callable[[Path, VolumeStore], object]
) -> None:
    with VolumeStore.open(tmp_path / "volumes.npy", 2, SHAPE) as store:
        Ledger(tmp_path / "ledger").add(_entry(store, 1))
        spoil(tmp_path / "ledger", store)
        assert Ledger(tmp_path / "ledger").find("sub 1 é/x", 1, "1:2", store) is None


def test_a_changed_file_or_another_row_is_not_found(tmp_path: Path) -> None:
    with VolumeStore.open(tmp_path / "volumes.npy", 2, SHAPE) as store:
        ledger = Ledger(tmp_path / "ledger")
        ledger.add(_entry(store, 1))
        again = Ledger(tmp_path / "ledger")
        assert again.find("sub 1 é/x", 1, "1:3", store) is None
        assert again.find("sub 1 é/x", 0, "1:2", store) is None
        assert again.find("sub 2", 1, "1:2", store) is None


def test_a_torn_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    with VolumeStore.open(tmp_path / "volumes.npy", 2, SHAPE) as store:
        entries = [_entry(store, 0), _entry(store, 1)]
        path = tmp_path / "ledger"
        path.write_text(json.dumps(entries[0])[:-9])
        Ledger(path).add(entries[1])
        assert Ledger(path).find("sub 1 é/x", 1, "1:2", store) == entries[1]
        Ledger(path).settle(entries)
        assert [json.loads(line) for line in path.read_text().splitlines()] == entries
