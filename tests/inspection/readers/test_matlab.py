"""MATLAB files of versions 4 to 7, from scipy's writer and from MATLAB itself."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.matlab
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.matlab import Matlab

from .opening import plain, read, reader_of, reasons, source, survives, values

BY_MATLAB = Path(scipy.io.matlab.__file__).parent / "tests" / "data"


def written(variables: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, **options)
    return buffer.getvalue()


def naive(value: Any) -> Any:
    """A value of scipy's reader as plain values."""
    if hasattr(value, "tocoo"):
        found = value.tocoo()
        return {
            "row": found.row.tolist(),
            "column": found.col.tolist(),
            "value": found.data.tolist(),
            "shape": [*found.shape],
        }
    if value.dtype.names:
        flat = value.ravel()
        fields = {name: [naive(one[name]) for one in flat] for name in value.dtype.names}
        if type(value).__name__ == "MatlabObject":
            return (value.classname, {name: inner[0] for name, inner in fields.items()})
        if len(flat) == 1:
            return {name: inner[0] for name, inner in fields.items()}
        return {
            name: [one[0][0] if np.shape(one) == (1, 1) else one for one in inner]
            for name, inner in fields.items()
        }
    if value.dtype.kind == "O":
        rows = [[naive(one) for one in row] for row in value]
        return rows if min(value.shape) > 1 else [one for row in rows for one in row]
    if value.dtype.kind == "U":
        rows = [str(row).rstrip(" ") for row in value.ravel()]
        return rows[0] if len(rows) == 1 else rows if rows else ""
    return value.tolist()


@pytest.mark.parametrize("compressed", [True, False])
def test_values_come_back(compressed: bool, tmp_path: Path) -> None:
    people = np.array([("sub-01", 51.5), ("sub-02", 52.0)], [("id", "O"), ("age", "O")])
    variables = {
        "x": np.arange(42.0).reshape(6, 1, 7),
        "name": "Huber",
        "ids": np.array(["sub-01", "sub-2"]),
        "cells": np.array(["a", np.array([1.0, 2.0])], object),
        "model": {"SupportVectors": np.eye(3), "info": {"site": "Köln"}},
        "people": people,
        "sparse": csc_array(np.diag([0, 7.0])),
        "none": np.zeros((0, 3)),
    }
    file = source(written(variables, do_compression=compressed), "a", tmp_path)
    assert isinstance(reader_of(file), Matlab)
    found = plain(values(file))
    assert found["x"] == variables["x"].tolist() and found["name"] == "Huber"
    assert found["ids"] == ["sub-01", "sub-2"] and found["cells"] == ["a", [[1.0, 2.0]]]
    assert found["model"]["SupportVectors"] == np.eye(3).tolist() and found["model"]["info"] == {
        "site": "Köln"
    }
    assert found["people"] == {"id": ["sub-01", "sub-02"], "age": [51.5, 52.0]}
    assert found["sparse"] == {"row": [1], "column": [1], "value": [7.0], "shape": [2, 2]}
    assert "Created on" in found["header"] and found["none"] == []


@pytest.mark.parametrize("kind", ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "c16"])
@pytest.mark.parametrize("version", ["4", "5"])
def test_arrays_of_any_type(kind: str, version: str, tmp_path: Path) -> None:
    if version == "4" and kind in ("i1", "i8", "u4", "u8"):
        kind = "f8"
    array = np.arange(15).reshape(3, 5).astype(kind) * (1 + 2j if kind == "c16" else 1)
    file = source(written({"a": array, "b": "sub-01"}, format=version), "a.mat", tmp_path)
    found = values(file)
    np.testing.assert_array_equal(found["a"], array)
    assert found["b"] == "sub-01"


def test_files_of_matlab_itself_are_read_as_scipy_reads_them(tmp_path: Path) -> None:
    compared = 0
    for path in sorted(BY_MATLAB.glob("test*.mat")):
        if any(
            left_out in path.name
            for left_out in ("hdf5", "func", "empty_struct", "sparse_4", "sparsecomplex_4")
        ):
            continue
        file = source(path.read_bytes(), path.name, tmp_path)
        assert isinstance(reader_of(file), Matlab)
        found = values(file)
        for name, value in loadmat(path, spmatrix=False).items():
            if not name.startswith("__"):
                assert np.size(value) == 0 or plain(found[name]) == naive(value), (path.name, name)
                compared += 1
    assert compared > 90


def test_objects_of_classes_and_functions_are_named_as_not_read(tmp_path: Path) -> None:
    file = source((BY_MATLAB / "some_functions.mat").read_bytes(), "a.mat", tmp_path)
    assert {"sqr", "parabola", "workspace of objects"} <= {*reasons(file)}
    assert plain(values(file)["b"]) == [[52]]
    inline = values(source((BY_MATLAB / "testobject_7.4_GLNX86.mat").read_bytes(), "a.mat", tmp_path))[
        "testobject"
    ]
    assert inline.class_name == "inline" and inline.state["expr"] == "x"


def test_a_damaged_variable_does_not_hide_the_others(tmp_path: Path) -> None:
    damaged = bytearray(written({"bad": np.full(5, 7.5), "fine": np.arange(5.0)}))
    # The type of the values stands 8 bytes before them. Scipy's reader ends the process at this one.
    damaged[damaged.find(np.full(5, 7.5).tobytes()) - 8] = 99
    file = source(bytes(damaged), "a.mat", tmp_path)
    assert plain(values(file)["fine"]) == [[0, 1, 2, 3, 4]]
    assert "unknown type 99" in reasons(file)["variable 1"]
    content = (BY_MATLAB / "corrupted_zlib_checksum.mat").read_bytes()
    assert any("damaged" in why for why in reasons(source(content, "a.mat", tmp_path)).values())


def test_hostile_files_end_early(tmp_path: Path) -> None:
    bomb = written({"a": np.zeros(1 << 18)}, do_compression=True)
    with pytest.raises(TooLargeError):
        read(source(bomb, "a.mat", tmp_path, expanded=1 << 20))
    nested: Any = "x"
    for _ in range(60):
        nested = np.array([nested, 1], object)
    with pytest.raises(TooLargeError, match="nested"):
        read(source(written({"a": nested}), "a.mat", tmp_path))
    cells = bytearray(written({"a": np.array(["x", "y"], object)}))
    at = cells.find(np.array([1, 2], "<i4").tobytes())
    cells[at : at + 8] = np.array([2**30, 2**30], "<i4").tobytes()
    assert "cut" in reasons(source(bytes(cells), "a.mat", tmp_path))["variable 1"]
    survives(written({"a": np.arange(500.0), "b": {"c": ["x", "y"]}}, do_compression=True), "a.mat", tmp_path)
    survives(written({"a": np.arange(50.0)}, format="4"), "a.mat", tmp_path)
