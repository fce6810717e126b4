from __future__ import annotations

import io
import json
import os
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from memberscan.errors import BadInputError, TooLargeError
from memberscan.received import (
    is_plain_name,
    load_json,
    load_npz,
    load_safetensors,
    parse_json,
    read_limited,
    stated,
)


@contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """Fail if Python's own allocations, numpy's among them, exceed so many megabytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()


# Files


def test_a_file_is_read_up_to_the_limit_and_no_further(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert read_limited(tmp_path / "f", 5) == b"12345"
    with pytest.raises(TooLargeError, match="5 bytes, but at most 4"):
        read_limited(tmp_path / "f", 4)


def test_a_sparse_file_of_terabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as stream:
        stream.truncate(1 << 42)
    with at_most(1), pytest.raises(TooLargeError):
        load_json(tmp_path / "f")


def test_pipes_and_devices_are_refused_and_do_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(BadInputError, match=f"{path} is not a regular file"):
            read_limited(path, 100)


def test_a_path_that_leads_nowhere_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for path in (tmp_path / "loop", tmp_path / "file" / "x", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(BadInputError, match=f"{re.escape(str(path))} cannot be read"):
            read_limited(path, 100)


@pytest.mark.parametrize("name", ["a", "site-1.v2_b", "A" * 100])
def test_plain_names(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "/a",
        ".hidden",
        "a\n",
        "a\0",
        "é",
        "A" * 101,
        None,
        3,
        ["a"],
        "a\\b",
        "-a",
    ],
)
def test_names_that_lead_elsewhere(name: object) -> None:
    assert not is_plain_name(name)


# JSON


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 65 + "]" * 65,
        '{"a":[' * 400 + "]}" * 400,
        '{"a":' * 100_000,
        "9" * 5000,
        "-" + "9" * 30,
        "1e999",
        "-1e999",
        "NaN",
        "[Infinity]",
        '"\\ud800"',
        '{"\\udfff": 1}',
        "",
        "{",
        "\ufeff\ufeff{}",
        "[1,]",
    ],
)
def test_json_that_json_has_not_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"f\.json"):
        parse_json(text, "f.json")


def test_a_long_number_takes_no_time() -> None:
    # Reading it as a number would take minutes.
    with pytest.raises(BadInputError, match="too large"):
        parse_json("[" + "1" * 10_000_000 + "]", "f.json")


def test_json_with_the_mark_that_windows_writes_is_read() -> None:
    assert parse_json(b"\xef\xbb\xbf[1, 2.5, null]", "f.json") == [1, 2.5, None]


@given(st.binary(max_size=200))
def test_any_bytes_give_json_or_a_typed_error(data: bytes) -> None:
    try:
        value = parse_json(data, "f.json")
    except BadInputError:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Inner:
    number: int


@dataclass(frozen=True)
class Outer:
    names: tuple[str, ...]
    inner: dict[str, Inner]
    share: float | None = None


def test_what_a_file_states_is_checked_by_type() -> None:
    value = {"names": ["a"], "inner": {"x": {"number": 3}}, "later": "unknown"}
    assert stated(Outer, value, "f") == Outer(("a",), {"x": Inner(3)})


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([], "its content"),
        ({}, "names"),
        ({"names": ["a"], "inner": {"x": {"number": "no"}}}, "inner.x.number"),
        ({"names": [1], "inner": {}}, "names.0"),
        ({"names": "a", "inner": {}}, "names"),
        ({"names": [], "inner": [], "share": 1}, "inner"),
        ({"names": [], "inner": {}, "share": {}}, "share"),
    ],
)
def test_the_part_that_is_wrong_is_named(value: object, place: str) -> None:
    with pytest.raises(BadInputError, match=rf"f is damaged \({place}: .*restore"):
        stated(Outer, value, "f")


# Arrays


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "i8", "u1", "?"])
def test_arrays_come_back_in_native_order(tmp_path: Path, dtype: str) -> None:
    values = (np.arange(7 * 8 * 9) % 2).astype(dtype).reshape(7, 8, 9)
    loaded = load_npz(
        npz(tmp_path / "a.npz", x=values, y=np.asfortranarray(values), z=np.array(3.5)), 1 << 20
    )
    np.testing.assert_array_equal(loaded["x"], values)
    np.testing.assert_array_equal(loaded["y"], values)
    assert loaded["z"].shape == ()
    assert loaded["x"].dtype.isnative
    assert loaded["x"].flags.writeable


def test_a_few_kilobytes_that_expand_to_gigabytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as entry:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (50_000_000,)}
        )
        entry.write(header.getvalue())
        for _ in range(200):
            entry.write(bytes(1_000_000))
    assert path.stat().st_size < 300_000
    with at_most(20), pytest.raises(TooLargeError, match="expands to 200,000"):
        load_npz(path, 10 << 20)


def test_a_header_that_declares_more_than_follows_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(16))
    with at_most(20), pytest.raises(BadInputError, match="does not fit"):
        load_npz(tmp_path / "a.npz", 1 << 20)


def encrypted(data: bytes) -> bytes:
    """Set the flag of encryption in the headers of a zip file."""
    place = data.index(b"PK\x01\x02")
    return data[:6] + b"\x01" + data[7 : place + 8] + b"\x01" + data[place + 9 :]


def other_method(data: bytes) -> bytes:
    """Say that the file is packed by a method that nobody knows."""
    place = data.index(b"PK\x01\x02")
    return data[:8] + b"\x63" + data[9 : place + 10] + b"\x63" + data[place + 11 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (encrypted, "encrypted"),
        (other_method, "method 99"),
        (lambda data: data[: len(data) // 2], "truncated or damaged"),
        (lambda data: b"", "truncated or damaged"),
        (
            lambda data: data[:70] + b"\xff\xff\xff\xff" + data[74:],
            "truncated or damaged|not a readable array",
        ),
    ],
)
def test_zip_files_of_other_kinds_are_refused_in_words(
    tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    path = npz(tmp_path / "a.npz", x=np.arange(5.0))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BadInputError, match=message):
        load_npz(path, 1 << 20)


@pytest.mark.parametrize(
    "values", [np.array([{"a": 1}]), np.array(["text"]), np.array([1j]), np.zeros(2, "f4,i4")]
)
def test_arrays_of_anything_but_numbers_are_refused_in_words(tmp_path: Path, values: np.ndarray) -> None:
    path = npz(tmp_path / "a.npz", x=values)
    with pytest.raises(BadInputError, match=r"not of numbers|not a readable array"):
        load_npz(path, 1 << 20)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=8), st.integers(0, 700))
def test_a_changed_npz_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    path = npz(tmp_path_factory.mktemp("npz") / "a.npz", x=np.arange(6.0).reshape(2, 3), y=np.ones(4, "f4"))
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(bytes(data[: max(length, 1) if length < 600 else None]))
    with suppress(BadInputError):
        load_npz(path, 1 << 20)


# Tensors


def test_tensors_come_back(tmp_path: Path) -> None:
    state = {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.tensor(3, dtype=torch.int64),
        "c": torch.zeros(2).half(),
    }
    (tmp_path / "w.safetensors").write_bytes(save(state, {"note": "kept apart"}))
    loaded = load_safetensors(tmp_path / "w.safetensors", 1 << 20)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_types_that_cannot_be_computed_with_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    (tmp_path / "w.safetensors").write_bytes(save({"layer.weight": torch.zeros(3).to(dtype)}))
    with pytest.raises(BadInputError, match=r"layer.weight is of type F8.*float32"):
        load_safetensors(tmp_path / "w.safetensors", 1 << 20)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 60_000) + b"[" * 60_000,
        struct.pack("<Q", 62) + b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0]}}',
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    if data == struct.pack("<Q", 2) + b"{}":
        assert load_safetensors(tmp_path / "w.safetensors", 1 << 20) == {}
        return
    with at_most(20), pytest.raises(BadInputError):
        load_safetensors(tmp_path / "w.safetensors", 1 << 20)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=8), st.integers(1, 400))
def test_a_changed_safetensors_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(save({"a": torch.arange(6.0), "b": torch.ones(2, 2)}))
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path_factory.mktemp("st") / "w.safetensors"
    path.write_bytes(bytes(data[:length]))
    with suppress(BadInputError):
        load_safetensors(path, 1 << 20)
