from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import DiskFullError
from memberscan.rows import RowFile

SHAPE = (7, 8, 9)


def rows(count: int, seed: int = 0, dtype: str = "f2") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(dtype)


@given(
    st.integers(0, 6),
    st.sampled_from([(), (1,), (3,), (2, 3), (2, 1, 3)]),
    st.sampled_from(["f2", "f4", "f8", ">f4", "i8", "u1"]),
    st.randoms(use_true_random=False),
)
def test_rows_written_in_any_order_are_what_numpy_would_have_saved(
    tmp_path_factory: pytest.TempPathFactory, count: int, shape: tuple[int, ...], dtype: str, random: object
) -> None:
    path = tmp_path_factory.mktemp("rows") / "r.npy"
    values = np.arange(count * int(np.prod(shape)), dtype=dtype).reshape(count, *shape)
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    with RowFile.open(path, count, shape, dtype) as store:
        for row in order:
            store.write(row, values[row : row + 1])
    np.save(twin := path.with_name("twin.npy"), values.astype(np.dtype(dtype).newbyteorder("<")))
    assert path.read_bytes() == twin.read_bytes()


def test_threads_write_without_disturbing_each_other(tmp_path: Path) -> None:
    values = rows(40)
    with RowFile.open(tmp_path / "r.npy", 40, SHAPE, "f2") as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.write(n, values[n : n + 1]), range(40)))
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), values)


def test_several_rows_at_once_and_reading_one_back(tmp_path: Path) -> None:
    values = rows(3, dtype="f4")
    with RowFile.open(tmp_path / "r.npy", 5, SHAPE, np.float32) as store:
        store.write(1, values)
        assert store.read(2) == values[1].tobytes()
        assert not any(store.read(0))


def test_what_was_written_is_there_after_reopening_and_another_layout_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "r.npy"
    with RowFile.open(path, 3, SHAPE, "f2") as store:
        assert store.fresh
        store.write(1, rows(1))
    with RowFile.open(path, 3, SHAPE, "f2") as store:
        assert not store.fresh
        assert store.read(1) == rows(1).tobytes()
    for layout in ((4, SHAPE, "f2"), (3, SHAPE[::-1], "f2"), (3, SHAPE, "f4")):
        with RowFile.open(path, *layout) as store:
            assert store.fresh
            assert not any(store.read(1))


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_file_is_not_gone_on_with(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "r.npy"
    with RowFile.open(path, 3, SHAPE, "f2") as store:
        store.write(0, rows(3))
    path.write_bytes(path.read_bytes()[:keep])
    with RowFile.open(path, 3, SHAPE, "f2") as store:
        assert store.fresh
    assert not np.load(path).any()


def test_untouched_and_cleared_rows_are_zero_and_untouched_ones_take_no_space(tmp_path: Path) -> None:
    with RowFile.open(tmp_path / "r.npy", 2000, SHAPE, "f4") as store:
        store.write(7, rows(1))
        digest = store.digest(7)
        store.clear(7)
        store.clear(8)
        assert store.digest(7) == store.digest(8) != digest
    assert not np.load(tmp_path / "r.npy").any()
    stat = (tmp_path / "r.npy").stat()
    assert stat.st_blocks * 512 < stat.st_size / 10


def test_rows_of_another_shape_are_not_written(tmp_path: Path) -> None:
    with (
        RowFile.open(tmp_path / "r.npy", 3, SHAPE, "f2") as store,
        pytest.raises(ValueError, match="do not fit"),
    ):
        store.write(0, rows(1)[0])
    assert not np.load(tmp_path / "r.npy").any()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, bytes(data)[:100], at))
    with RowFile.open(tmp_path / "r.npy", 2, SHAPE, "f2") as store:
        store.write(0, rows(2))
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), rows(2))


def test_a_full_disk_is_an_error_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "r.npy"
    with (
        monkeypatch.context() as patch,
        pytest.raises(DiskFullError, match=r"r\.npy"),
        RowFile.open(path, 2, SHAPE, "f2") as store,
    ):
        store.write(0, rows(1))
        patch.setattr(os, "pwrite", full)
        store.write(1, rows(1))
    with RowFile.open(path, 2, SHAPE, "f2") as store:
        assert store.read(0) == rows(1).tobytes()
