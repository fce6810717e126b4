from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort.store import Ledger
from memberscan.rows import RowFile

SHAPE = (7, 8, 9)


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float16)


def _entry(store: RowFile, row: int) -> dict[str, object]:
    store.write(row, volume(row)[None])
    return {"scan_id": f"sub {row} é/x", "row": row, "stamp": "1:2", "digest": store.digest(row)}


def test_the_ledger_finds_what_was_added(tmp_path: Path) -> None:
    with RowFile.open(tmp_path / "volumes.npy", 2, SHAPE, np.float16) as store:
        entry = _entry(store, 1)
        Ledger(tmp_path / "ledger").add(entry)
        assert Ledger(tmp_path / "ledger").find("sub 1 é/x", 1, "1:2", store) == entry


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path, store: path.write_bytes(path.read_bytes()[:-3]),
        lambda path, store: path.write_bytes(b"\xff\x00\n"),
        lambda path, store: path.unlink(),
        lambda path, store: store.write(1, volume(5)[None]),
        lambda path, store: store.clear(1),
    ],
)
def test_nothing_is_trusted_that_is_not_as_the_ledger_says(
    tmp_path: Path, spoil: Callable[[Path, RowFile], object]
) -> None:
    with RowFile.open(tmp_path / "volumes.npy", 2, SHAPE, np.float16) as store:
        Ledger(tmp_path / "ledger").add(_entry(store, 1))
        spoil(tmp_path / "ledger", store)
        assert Ledger(tmp_path / "ledger").find("sub 1 é/x", 1, "1:2", store) is None


def test_a_changed_file_or_another_row_is_not_found(tmp_path: Path) -> None:
    with RowFile.open(tmp_path / "volumes.npy", 2, SHAPE, np.float16) as store:
        ledger = Ledger(tmp_path / "ledger")
        ledger.add(_entry(store, 1))
        again = Ledger(tmp_path / "ledger")
        assert again.find("sub 1 é/x", 1, "1:3", store) is None
        assert again.find("sub 1 é/x", 0, "1:2", store) is None
        assert again.find("sub 2", 1, "1:2", store) is None


def test_a_torn_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    with RowFile.open(tmp_path / "volumes.npy", 2, SHAPE, np.float16) as store:
        entries = [_entry(store, 0), _entry(store, 1)]
        path = tmp_path / "ledger"
        path.write_text(json.dumps(entries[0])[:-9])
        Ledger(path).add(entries[1])
        assert Ledger(path).find("sub 1 é/x", 1, "1:2", store) == entries[1]
        Ledger(path).settle(entries)
        assert [json.loads(line) for line in path.read_text().splitlines()] == entries
