"""HDF5: data sets of every type, attributes and tables come back; nothing outside of the file is opened."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.errors import TooLargeError
from memberscan.inspection.readers import hdf5
from memberscan.inspection.readers.base import Item
from memberscan.inspection.sources import Source

from .opening import plain, read, reasons, source, survives, values


def written(fill: Callable[[h5py.File], Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def found(fill: Callable[[h5py.File], Any], scratch: Path) -> dict[str, Any]:
    return values(source(written(fill), "model.h5", scratch))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "u2", "i8", "?", "c8", "S5"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (7, 1, 9), (2, 3, 4, 5)])
def test_arrays_of_any_type_and_shape(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.arange(math.prod(shape)).reshape(shape).astype(kind)
    assert plain(found(lambda file: file.create_dataset("a/b", data=array), tmp_path).get("a/b")) == (
        array.tolist()
        if array.size and not (shape == () and kind == "S5")
        else (None if not array.size else "0")
    )


def test_text_records_and_attributes(tmp_path: Path) -> None:
    people = np.array(
        [(b"sub-01", 51.5, [1, 2]), (b"sub-02", 52, [3, 4])], [("id", "S6"), ("age", "f4"), ("x", "i4", 2)]
    )

    def fill(file: h5py.File) -> None:
        file["people"] = people
        file["names"] = ["Huber", "Müller"]
        file["ragged"] = np.array([np.array([1, 2]), np.array([3])], object).astype(h5py.vlen_dtype(int))
        file["raw"] = np.void(b"sub-07")
        file["names"].attrs["site"] = "Köln"
        file["itself"] = file["/"]
        file["reference"] = np.array([file["names"].ref], h5py.ref_dtype)
        file.attrs["model_config"] = '{"path": "/home/huber"}'
        file.attrs["weights"] = np.array([b"kernel", b"bias"])

    items = {place: plain(value) for place, value in found(fill, tmp_path).items()}
    assert items["people"] == {"id": [b"sub-01", b"sub-02"], "age": [51.5, 52], "x": [[1, 2], [3, 4]]}
    assert items["names"] == ["Huber", "Müller"] and items["names@site"] == "Köln"
    assert items["ragged"] == [[1, 2], [3]] and items["raw"] == b"sub-07"
    assert items["@model_config"] == '{"path": "/home/huber"}' and items["@weights"] == [b"kernel", b"bias"]
    assert "reference" not in items and not any(place.startswith("itself/") for place in items)


def test_nothing_outside_of_the_file_is_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    secret.write_bytes(written(lambda file: file.create_dataset("x", data=np.full(4, 7.0))))
    (tmp_path / "raw").write_bytes(np.full(4, 7.0).tobytes())

    def fill(file: h5py.File) -> None:
        file["link"] = h5py.ExternalLink(str(secret), "x")
        file["soft"] = h5py.SoftLink("/nowhere")
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "x", (4,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (4,), "f8", external=[(str(tmp_path / "raw"), 0, 32)])

    content = written(fill)
    file = source(content, "model.h5", tmp_path)
    assert {*reasons(file)} == {"link", "virtual", "external"}
    assert values(file) == {}
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    assert values(source(path, "model.h5", tmp_path)) == {}


@settings(max_examples=40)
@given(st.lists(st.integers(1, 6), max_size=4), st.integers(1, 40))
def test_blocks_cut_an_array_without_gaps(shape: list[int], most: int) -> None:
    array = np.arange(math.prod(shape)).reshape(shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "_BLOCK", most)
        parts = [array[block] for block in hdf5.blocks(array.shape, 1)]
    assert np.concatenate([part.ravel() for part in parts]).tolist() == array.ravel().tolist()
    assert max(part.size for part in parts) <= most or most < 1


def test_large_arrays_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_BLOCK", 100)
    content = written(lambda file: file.create_dataset("x", data=np.arange(100, dtype="i4"), chunks=(30,)))
    parts = [item.value for item in read(source(content, "x.h5", tmp_path)) if isinstance(item, Item)]
    assert len(parts) == 4 and np.concatenate(parts).tolist() == [*range(100)]


def test_declared_sizes_are_bounded(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("unwritten", (10**12,), "f8", chunks=(1000,))
        file.create_dataset("chunk", (2**27,), "f4", chunks=(2**27,), compression="gzip")
        file["chunk"].id.write_direct_chunk((0,), b"x")
        file["fine"] = [1, 2]

    file = source(written(fill), "x.h5", tmp_path)
    assert {*values(file)} == {"fine"} and reasons(file) == {"chunk": "its chunks are too large"}

    def bomb(file: h5py.File) -> None:
        file.create_dataset("x", (10**12,), "u1", chunks=(1 << 20,))[0] = 1

    with pytest.raises(TooLargeError):
        values(source(written(bomb), "x.h5", tmp_path))


def test_a_user_block_and_frames_of_pandas(tmp_path: Path) -> None:
    import pickle

    def fill(file: h5py.File) -> None:
        group = file.create_group("people")
        group["block0_items"] = np.array([b"age", b"score"])
        group["block0_values"] = np.array([[51.5, 1], [52, 2], [53, 3]])
        group["axis1"] = np.array([101, 102, 103])
        pickled = np.frombuffer(pickle.dumps(["sub-01", "sub-02"]), np.uint8)
        group.create_dataset("block1_values", (1,), h5py.vlen_dtype(np.uint8))[0] = pickled
        group["block1_values"].attrs["PSEUDOATOM"] = b"object"
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps([(1, ["age"])], 0))

    content = bytearray(written(fill, userblock_size=512))
    content[:20] = b"MATLAB 7.3 MAT-file "
    file = source(bytes(content), "a.mat", tmp_path)
    assert values(file)["user block"] == "MATLAB 7.3 MAT-file"
    assert plain(values(file)["people"]) == {"": [101, 102, 103], "age": [51.5, 52, 53], "score": [1, 2, 3]}
    pickles = [inner.name for inner in read(file) if isinstance(inner, Source)]
    assert sorted(pickles) == ["a.mat!people/block1_values[0]", "a.mat!people@non_index_axes"]


def test_a_file_may_end_anywhere(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("x", data=np.arange(1000), chunks=(100,), compression="gzip")
        file.attrs["a"] = "sub-01"

    survives(written(fill), "x.h5", tmp_path)
