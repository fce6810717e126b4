"""Files of arrays, npy and npz: mapped, of every type, with objects as data, and hostile ones."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memberscan.errors import BadInputError
from memberscan.inspection.readers.arrays import Npz
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.sources import Source

from .pickle_lab import found, instances, plain, reader_of, source_of, values

VOLUME = np.arange(504.0).reshape(7, 8, 9)
ARRAYS: dict[str, Any] = {
    "volume": VOLUME,
    "turned": VOLUME.T,
    "half": VOLUME.astype(">f2"),
    "text": np.array(["sub-01", "sub-02"]),
    "scalar": np.array(1.5),
    "empty": np.zeros((0, 3)),
    "flags": VOLUME > 3,
}


class Runs:
    """Would run a command if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch made",)


def _npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(array), version)
    return stream.getvalue()


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_those_of_numpy(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, ARRAYS[name])
    for data in (path, path.read_bytes()):
        (item,) = found(data)
        assert isinstance(item, Item)
        assert (item.value.dtype, item.value.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
        np.testing.assert_array_equal(item.value, ARRAYS[name])


def test_arrays_on_disk_are_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VOLUME)
    np.savez(tmp_path / "x.npz", VOLUME)
    for path in tmp_path.iterdir():
        (item,) = found(path)
        assert isinstance(item, Item)
        assert not item.value.flags.writeable


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_hold_arrays_by_name(save: Any) -> None:
    stream = io.BytesIO()
    save(stream, **ARRAYS, objects=np.array([["sub-01", 61.5]], dtype=object))
    made = {item.place: item.value for item in found(stream.getvalue()) if isinstance(item, Item)}
    assert made.pop("objects") == [["sub-01", 61.5]]
    assert made.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(made[name], array)


def test_records_and_objects_are_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = np.array([("sub-01", 61.5)], dtype=[("id", "U6"), ("âge", "f8")])
    for version in ((2, 0), (3, 0)):
        assert values(_npy(table, version))[""] == {"id": ["sub-01"], "âge": [61.5]}
    (item,) = found(_npy(np.array([Runs()], dtype=object)))
    assert [instance.class_name for instance in instances(item[1])] == ["posix.system"]
    assert not list(tmp_path.iterdir())


def test_several_arrays_in_one_file() -> None:
    assert values(_npy(np.arange(2)) + _npy(np.arange(3))) == {"": [0, 1], "[1]": [0, 1, 2]}


def test_other_files_of_an_archive_are_yielded() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", _npy(VOLUME))
        archive.writestr("people.csv", "id\nsub-01\n")
    items = found(stream.getvalue())
    assert isinstance(items[0], Item)
    assert isinstance(items[1], Source)
    assert items[1].name == "!people.csv"


def test_encrypted_arrays_are_reported() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", _npy(VOLUME))
    data = bytearray(stream.getvalue())
    # The lowest bit of the flags says that a file is encrypted.
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    items = found(bytes(data))
    assert isinstance(items[0], Partly)
    assert "password" in items[0].reason


def test_archives_of_other_files_are_not_of_arrays() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("people.csv", "id\nsub-01\n")
    assert not isinstance(reader_of(source_of(stream.getvalue(), "x.zip")), Npz)
    assert isinstance(reader_of(source_of(stream.getvalue(), "x.npz")), Npz)


def _with_header(header: bytes, version: bytes = b"\x01\x00") -> bytes:
    size = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + header


@pytest.mark.parametrize(
    "data",
    [
        _npy(VOLUME)[:-1],
        _npy(VOLUME)[:20],
        _npy(VOLUME) + b"trailing",
        _with_header(b"__import__('os').system('touch made')"),
        _with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,)}"),
        _with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"),
        _with_header(b"{'descr': 'no', 'fortran_order': False, 'shape': (1,)}"),
        _with_header(b"{'descr': '<f8'}"),
        _with_header(b"(" * 5000),
        _with_header(b"-" * 60_000 + b"1"),
        _with_header(b" " * (2 << 20), b"\x02\x00"),
        _with_header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"\x80\x04]",
    ],
)
def test_damaged_arrays_end_in_an_error(data: bytes) -> None:
    with pytest.raises(BadInputError):
        found(data)


def test_truncations_at_every_byte_end_in_an_error() -> None:
    data = _npy(np.arange(3.0))
    for end in range(7, len(data)):
        with pytest.raises(BadInputError):
            found(data[:end])


def test_plain_values_of_dates() -> None:
    assert plain(found(_npy(np.array(["2001-02-03"], "M8[D]")))[0][1]) == ["2001-02-03"]
