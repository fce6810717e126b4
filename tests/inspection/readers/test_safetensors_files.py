"""Files of safetensors: every type, metadata, and headers that lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from memberscan.errors import BadInputError
from memberscan.inspection.readers.base import Item, Partly
from memberscan.inspection.readers.safetensors_files import Safetensors

from .pickle_lab import found, reader_of, source_of

KINDS = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.bool),
]
TENSORS = {str(kind): (torch.arange(504.0) % 90).reshape(7, 8, 9).to(kind) for kind in KINDS}


def _file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_tensors_are_those_of_torch(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path, metadata={"trained_on": "sub-01"})
    for data in (path, path.read_bytes()):
        items = found(data)
        assert items[0] == Item("__metadata__", {"trained_on": "sub-01"})
        made = {item.place: item.value for item in items[1:] if isinstance(item, Item)}
        assert made.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            wide = "bfloat" in name or "float8" in name
            np.testing.assert_array_equal(made[name], (tensor.float() if wide else tensor).numpy())
            assert made[name].shape == (7, 8, 9)


def test_hidden_and_unknown_parts_are_reported() -> None:
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    (item, rest) = found(_file({"x": tensor}, b"\0" * 9))
    assert isinstance(item, Item)
    assert rest == Partly("", "bytes follow the last tensor")
    for change in (
        {"dtype": "F4"},
        {"shape": [2]},
        {"shape": [-1]},
        {"shape": "x"},
        {"data_offsets": [4, 8]},
        {"data_offsets": [0, 1 << 60], "shape": [1 << 58]},
        {"data_offsets": [4, 0]},
        {"data_offsets": None},
    ):
        part = found(_file({"x": tensor | change}, b"\0" * 4))[0]
        assert isinstance(part, Partly), change
        assert part.place == "x"


@pytest.mark.parametrize("header", [b'{"x": ' + b"[" * 100_000, b"{}\0", b'{"a": 1, '])
def test_damaged_headers_end_in_an_error(header: bytes) -> None:
    with pytest.raises((BadInputError, ValueError, RecursionError)):
        found(_file(header))


def test_only_a_header_within_the_file_makes_a_file_of_safetensors() -> None:
    data = save({"x": torch.ones(2)})
    assert isinstance(reader_of(source_of(data)), Safetensors)
    assert not isinstance(reader_of(source_of(data[:20])), Safetensors)
    assert not isinstance(reader_of(source_of((1 << 60).to_bytes(8, "little") + b"{}")), Safetensors)
