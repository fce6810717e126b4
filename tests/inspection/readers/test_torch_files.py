"""Files of torch in all its formats: equal to what torch loads, views and hidden rows included."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from memberscan.errors import BadInputError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.pickled_tensors import Storage, view_of
from memberscan.inspection.readers.tensor_values import TYPES, in_numpy, small_floats, strided
from memberscan.inspection.readers.torch_files import TorchFile
from memberscan.inspection.sources import Source

from .pickle_lab import budget, found, instances, plain, reader_of, source_of, values

BASE = torch.arange(504.0).reshape(7, 8, 9)
KINDS = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.bool),
    *(torch.complex64, torch.complex128),
]
TENSORS = {
    **{str(kind): (BASE % 90).to(kind) for kind in KINDS},
    "turned": BASE.transpose(0, 2),
    "stepped": BASE[::2, 1:, ::3],
    "repeated": torch.ones(1, 3).expand(4, 3),
    "parameter": torch.nn.Parameter(BASE[0]),
    "scalar": torch.tensor(1.5),
    "empty": torch.zeros(0, 3),
    "whole": BASE,
}


def _saved(value: Any, *, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    wide = tensor.detach()
    small = wide.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    return (wide.float() if small else wide).numpy()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("on_disk", [False, True])
def test_tensors_are_those_of_torch(legacy: bool, on_disk: bool, tmp_path: Path) -> None:
    data: bytes | Path = _saved(TENSORS, legacy=legacy)
    if on_disk:
        path = tmp_path / "model.pt"
        path.write_bytes(data)  # type: ignore[arg-type]
        data = path
    (item,) = found(data)
    assert isinstance(item, Item)
    assert item.value.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        made, expected = item.value[name], _numbers(tensor)
        assert (made.dtype, made.shape) == (expected.dtype, expected.shape), name
        np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("legacy", [False, True])
def test_rows_that_a_saved_part_of_a_tensor_carries_along_are_found(legacy: bool) -> None:
    rows = torch.arange(40.0).reshape(10, 4)
    items = found(_saved({"first": rows[:2], "again": rows[:2], "odd": rows[1::2]}, legacy=legacy))
    np.testing.assert_array_equal(items[0][1]["first"], rows[:2])
    whole = found(_saved({"first": rows[:2]}, legacy=legacy))[1]
    assert isinstance(whole, Item)
    assert whole.place.startswith("storage ")
    np.testing.assert_array_equal(whole.value, rows)
    assert len(found(_saved({"a": rows[:5], "b": rows[5:]}, legacy=legacy))) == 1


@pytest.mark.parametrize("legacy", [False, True])
def test_modules_optimizers_and_datasets_become_records(legacy: bool) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    model(torch.ones(3, 2))
    optimizer = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(1, 2)}}, "param_groups": []}
    data = torch.utils.data.TensorDataset(BASE[:, 0], BASE[:, 1, 0])
    loader = torch.utils.data.DataLoader(data)
    made = found(_saved({"m": model, "o": optimizer, "d": loader}, legacy=legacy))[0][1]
    by_class = {instance.class_name.rpartition(".")[2]: instance.state for instance in instances(made)}
    np.testing.assert_array_equal(by_class["Linear"]["_parameters"]["weight"], _numbers(model[0].weight))
    assert by_class["BatchNorm1d"]["_buffers"]["num_batches_tracked"] == 1
    np.testing.assert_array_equal(made["o"]["state"][0]["exp_avg"], [[1, 1]])
    np.testing.assert_array_equal(by_class["TensorDataset"]["tensors"][0], BASE[:, 0])
    assert "TensorDataset" in by_class["DataLoader"]["dataset"].class_name


def test_tensors_in_plain_pickles_are_read() -> None:
    for protocol in range(2, 6):
        made = values(pickle.dumps({"x": BASE[0], "p": torch.nn.Parameter(BASE[1])}, protocol=protocol))[""]
        np.testing.assert_array_equal(made["x"], BASE[0])
        np.testing.assert_array_equal(made["p"], BASE[1])


def test_programs_of_torchscript_are_yielded_as_files(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    model = torch.nn.Linear(2, 1)
    torch.jit.script(model).save(str(path))
    items = found(path)
    value = next(item.value for item in items if isinstance(item, Item) and not item.place)
    np.testing.assert_array_equal(value.state["weight"], _numbers(model.weight))
    names = [item.name for item in items if isinstance(item, Source)]
    assert any(name.endswith(".py") for name in names)
    assert all(name.startswith("script.pt!script/code/") for name in names)
    assert not any(isinstance(item, Partly) for item in items)


def test_parts_of_a_storage_are_placed_within_it() -> None:
    storage = Storage("torch.float32", content=np.arange(10, dtype="<f4").view(np.uint8), kind="float32")
    part = storage.part(6, 4)
    view_of(part, 0, (2, 2), (2, 1), "float32", budget())
    view_of(storage, 0, (3, 2), (2, 1), "float32", budget())
    assert storage.rest(budget()) is None
    with pytest.raises(BadInputError):
        storage.part(8, 4)


def test_sources_of_pickled_modules_are_kept() -> None:
    items = found(_saved(torch.nn.Linear(2, 1), legacy=True))
    assert items[0][1].class_name == "torch.nn.modules.linear.Linear"
    assert "class Linear" in str(items[1][1])


def test_files_beside_the_tensors_are_not_lost() -> None:
    data = io.BytesIO(_saved({"x": BASE}))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("archive/extra/people.csv", "id,age\nsub-01,61.5\n")
        archive.writestr("archive/data/99", b"\0" * 16)
    items = found(data.getvalue())
    assert [item.name for item in items if isinstance(item, Source)] == ["!archive/extra/people.csv"]
    assert [item for item in items if isinstance(item, Partly)] == [
        Partly("archive/data/99", "no tensor refers to these bytes")
    ]


def test_what_archives_hide_is_reported() -> None:
    # The persistent id of a storage of a class that torch does not have.
    pid = b"(X\x07\0\0\0storagectorch\nOtherStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("archive/data.pkl", pickle.dumps("sub-01"))
        archive.writestr("archive/data.pkl", b"\x80\x02" + pid + b".and more")
        archive.writestr("archive/data/0", b"\0" * 16)
        archive.writestr("archive/version", "3")
    parts = [item for item in found(packed.getvalue()) if isinstance(item, Partly)]
    assert parts == [
        Partly("data.pkl", "bytes follow the pickle"),
        Partly("archive/data.pkl", "the archive holds another file of the same name"),
        Partly("archive/data/0", "no tensor refers to these bytes"),
    ]


def test_compressed_archives_are_read() -> None:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_saved({"x": BASE}))) as archive,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as again,
    ):
        for name in archive.namelist():
            again.writestr(name, archive.read(name))
    np.testing.assert_array_equal(values(packed.getvalue())[""]["x"], BASE)


def test_large_tensors_are_mapped_and_widened_in_the_scratch_directory(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    torch.save({"x": torch.ones(2500, 2000), "h": torch.ones(5000, 2000, dtype=torch.bfloat16)}, path)
    source = source_of(path, scratch=tmp_path)
    started = time.process_time()
    (item,) = TorchFile().read(source)
    assert time.process_time() - started < 2
    assert isinstance(item, Item)
    assert not item.value["x"].flags.owndata
    assert isinstance(item.value["h"].base, np.memmap)
    assert item.value["h"][-1, -1] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["large.pt"]


def _tar() -> bytes:
    """An archive as torch before version 0.1.10 wrote it: a storage, a part of it, and views of both."""

    def dump(value: Any) -> bytes:
        return pickle.dumps(value, protocol=2)

    def tensor(key: int, storage: int, size: list[int], stride: list[int], offset: int) -> bytes:
        numbers = struct.pack(f"<i4x{2 * len(size) + 1}q", len(size), *size, *stride, offset)
        return dump((key, storage, torch.FloatTensor)) + numbers

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return str(value)[1:] if isinstance(value, str) and value.startswith("#") else None

    objects = io.BytesIO()
    Pickler(objects, protocol=2).dump({"x": "#11", "part": "#12", "who": "sub-01"})
    raw = struct.pack("<q", 24) + BASE[0].numpy().tobytes()[:96]
    files = {
        "sys_info": dump({"little_endian": True}),
        "pickle": objects.getvalue(),
        "storages": dump(1) + dump((1, "cpu", torch.FloatStorage)) + raw + dump([(2, 1, 8, 4)]),
        "tensors": dump(2) + tensor(11, 1, [2, 3], [1, 4], 2) + tensor(12, 2, [2, 2], [2, 1], 0),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 1.5  # type: ignore[assignment]
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def test_archives_of_the_oldest_torch_are_those_of_torch(tmp_path: Path) -> None:
    # Torch reads this format from files on disk only.
    (tmp_path / "old.pt").write_bytes(_tar())
    expected = torch.load(tmp_path / "old.pt", weights_only=False)
    item, rest = found(_tar())
    assert isinstance(item, Item)
    for name in ("x", "part"):
        np.testing.assert_array_equal(item.value[name], expected[name].numpy())
    assert item.value["who"] == "sub-01"
    assert isinstance(rest, Item)
    assert rest.value.size == 24


def test_truncated_archives_of_the_oldest_torch_end_in_an_error() -> None:
    data = _tar()
    for end in range(1024, len(data.rstrip(b"\0")), 100):
        with pytest.raises((BadInputError, ValueError, tarfile.TarError)):
            list(TorchFile().read(source_of(data[:end])))


def test_other_archives_are_not_of_torch() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("package/data.pkl", pickle.dumps(1))
    assert not isinstance(reader_of(source_of(packed.getvalue())), TorchFile)
    assert not isinstance(reader_of(source_of(b"PK\x03\x04 data.pkl")), TorchFile)


def test_truncated_files_end_in_an_error() -> None:
    for legacy in (False, True):
        data = _saved({"x": BASE[0, :2].clone(), "who": "sub-01"}, legacy=legacy)
        for end in range(0, len(data) - 1, 7):
            source = source_of(data[:end], "model.pt")
            with pytest.raises((BadInputError, ValueError, zipfile.BadZipFile)):
                list(TorchFile().read(source))


def test_values_before_a_missing_storage_are_kept() -> None:
    packed = io.BytesIO()
    data = b"\x80\x02(S'sub-01'\n" + b"(S'storage'\nctorch\nFloatStorage\nS'7'\nS'cpu'\nI4\ntQt."
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3")
    items: list[Any] = []
    with pytest.raises(BadInputError, match="data/7"):
        items.extend(TorchFile().read(source_of(packed.getvalue())))
    assert "sub-01" in plain(items[0].value)


def test_an_entry_that_is_not_where_the_directory_says_ends_in_an_error() -> None:
    data = bytearray(_saved({"x": BASE}))
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"archive/data/0"))
    struct.pack_into("<I", data, place + 42, 8)
    with pytest.raises((BadInputError, zipfile.BadZipFile)):
        found(bytes(data))


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (10,), (1,)),
        (1, (9,), (1,)),
        (0, (3, 4), (4, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (0, (1 << 40,), (0,)),
        (0, (2, 2), (1 << 62, 1 << 62)),
    ],
)
def test_views_outside_their_storage_are_refused(offset: int, size: Any, stride: Any) -> None:
    with pytest.raises(BadInputError):
        strided(np.arange(9), offset, size, stride)


def test_small_floats_are_those_of_torch() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    for kind, bits in ((torch.float8_e4m3fn, (4, 3)), (torch.float8_e5m2, (5, 2))):
        np.testing.assert_array_equal(small_floats(*bits), codes.view(kind).float().numpy())


def test_bfloat16_of_the_other_byte_order_is_widened() -> None:
    bits = np.array([0x3FC0, 0xC000, 0x7F80], dtype=">u2")
    np.testing.assert_array_equal(in_numpy(bits, "bfloat16", budget()), np.float32([1.5, -2, np.inf]))
    assert {"bfloat16", "float8_e4m3fn", "float8_e5m2"} <= set(TYPES)
