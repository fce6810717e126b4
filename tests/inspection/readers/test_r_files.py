"""Objects of R come back, also those that models keep in slots, attributes and environments."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rdata as package

from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.r_files import RFile

from .opening import plain, read, reader_of, source, survives, values
from .r_writer import R, call, closure, environment, frame, listed, matrix, of_class, rdata, rds, s4

ROWS = np.arange(6.0).reshape(3, 2)
IDS = ["sub-01", "sub-02", "sub-03"]


def found(written: Any, scratch: Path) -> Any:
    file = source(rds(written), "model.rds", scratch)
    assert isinstance(reader_of(file), RFile)
    return plain(values(file)[""])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (np.array([1.5, -2]), [1.5, -2]),
        (np.array([3, -4]), [3, -4]),
        (np.array([True, False]), [True, False]),
        (np.array([1 + 2j]), [1 + 2j]),
        (["a", None, "Köln"], ["a", None, "Köln"]),
        (b"raw", b"raw"),
        ([np.array([1.0]), ["x"], None], [[1.0], ["x"], None]),
        (listed(a=["x"], b=listed(c=["y"])), {"a": ["x"], "b": {"c": ["y"]}}),
        (R(13, [2, 1, -(2**31)], levels=["f", "m"], **{"class": ["factor"]}), ["m", "f", None]),
        (R(14, [14304.0, np.nan], **{"class": ["Date"]}), ["2009-03-01", None]),
        (R(14, [1235865600.0], **{"class": ["POSIXct", "POSIXt"]}), ["2009-03-01T00:00:00+00:00"]),
        (R(14, [1.0, 2.0], names=["a", "b"]), {"names": ["a", "b"], "value": [1, 2]}),
        (matrix(ROWS), ROWS.tolist()),
        (matrix(ROWS, IDS), {"row.names": IDS, "1": [0, 2, 4], "2": [1, 3, 5]}),
        (frame(id=IDS, age=ROWS[:, 0]), {"id": IDS, "age": [0, 2, 4]}),
        (frame(IDS, x=frame(y=ROWS[:, 1])), {"row.names": IDS, "x.y": [1, 3, 5]}),
        (call("lm", "age", "thickness"), ["lm", "age", "thickness"]),
    ],
)
def test_objects_come_back(written: Any, value: Any, tmp_path: Path) -> None:
    assert found(written, tmp_path) == value


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_workspace_gives_its_variables(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    file = source(compress(rdata(ids=IDS, age=ROWS[:, 0])), "a.RData", tmp_path)
    assert isinstance(reader_of(file), RFile)
    assert plain(values(file)) == {"ids": IDS, "age": [0, 2, 4]}


@pytest.mark.parametrize("name", ["gausspr", "ksvm", "rvm"])
def test_models_of_kernlab_are_records_with_their_rows(name: str, tmp_path: Path) -> None:
    model = s4(
        name, xmatrix=matrix(ROWS, IDS), ymatrix=ROWS[:, 0], alpha=ROWS[:, 1], kcall=call(name, "train")
    )
    kind, slots = found(model, tmp_path)
    assert kind == name and slots["xmatrix"] == {"row.names": IDS, "1": [0, 2, 4], "2": [1, 3, 5]}
    assert slots["ymatrix"] == [0, 2, 4] and slots["kcall"] == [name, "train"]
    bare = found(s4(name, xmatrix=matrix(ROWS)), tmp_path)
    assert bare == (name, {"xmatrix": ROWS.tolist()})


def test_models_of_other_packages_are_records_with_their_rows(tmp_path: Path) -> None:
    svm = of_class(["svm.formula", "svm"], SV=matrix(ROWS, IDS), index=np.array([1, 2, 3]))
    assert found(svm, tmp_path) == (
        "svm.formula svm",
        {"SV": {"row.names": IDS, "1": [0, 2, 4], "2": [1, 3, 5]}, "index": [1, 2, 3]},
    )
    forest = of_class("randomForest", predicted=R(14, ROWS[:, 0], names=IDS))
    assert found(forest, tmp_path)[1]["predicted"] == {"names": IDS, "value": [0, 2, 4]}
    control = listed(index=listed(Fold1=np.array([1, 2]), Fold2=np.array([3])))
    caret = of_class(["train", "train.formula"], trainingData=frame(IDS, age=ROWS[:, 0]), control=control)
    kind, state = found(caret, tmp_path)
    assert kind == "train train.formula" and state["trainingData"]["row.names"] == IDS
    assert state["control"]["index"] == {"Fold1": [1, 2], "Fold2": [3]}


def test_what_a_formula_and_a_function_carry_is_read(tmp_path: Path) -> None:
    where = environment(train=frame(id=IDS, age=ROWS[:, 0]))
    where.value["itself"] = where
    terms = call("~", "age", "thickness", __Environment=where)
    model = frame(age=ROWS[:, 0])
    model.attributes["terms"] = terms
    qr = of_class("qr", qr=matrix(ROWS, IDS, ["a", "b"]))
    items = read(source(rds(of_class("lm", model=model, qr=qr, f=closure(where))), "lm.rds", tmp_path))
    by_place = {item.place: item.value for item in items if isinstance(item, Item)}
    kind, state = plain({"lm": by_place[""].state["qr"]})["lm"]
    assert kind == "qr" and state["qr"]["row.names"] == IDS
    assert by_place["@terms"] == ["~", "age", "thickness"]
    kept = by_place["@.Environment"]
    assert plain(kept["train"])["id"] == IDS and kept["itself"] is kept
    assert by_place[""].state["f"].state["environment"] is kept


def test_files_of_r_itself_are_read(tmp_path: Path) -> None:
    folder = package.TESTDATA_PATH / "generated"
    values_of = {
        "test_dataframe_rownames": {
            "row.names": ["Madrid", "Frankfurt", "Herzberg am Harz"],
            "class": ["a", "b", "b"],
        },
        "test_s4": ("Person", {"name": ["Carlos"], "age": [28.0]}),
        "test_encoding_latin1": ["cañón"],
        "test_full_named_matrix": {"row.names": ["dim0_0", "dim0_1"], "dim1_0": [1, 4], "dim1_1": [2, 5]},
    }
    for name, expected in values_of.items():
        for kind in ("xdr", "ascii", "binary"):
            path = folder / f"{name}__{kind}__version_3.rds"
            result = plain(values(source(path.read_bytes(), path.name, tmp_path))[""])
            assert result == (result | expected if isinstance(expected, dict) else expected)
    paths = sorted(folder.glob("*__xdr__version_3.rda"))
    assert len(paths) > 50
    for path in paths:
        assert values(source(path.read_bytes(), path.name, tmp_path))


def test_a_long_workspace_is_read_and_the_recursion_limit_kept(tmp_path: Path) -> None:
    before = sys.getrecursionlimit()
    many = {f"v{i}": np.array([i]) for i in range(1500)}
    assert len(values(source(rdata(**many), "a.RData", tmp_path))) == 1500
    assert sys.getrecursionlimit() == before


def test_hostile_objects_end_early(tmp_path: Path) -> None:
    # A sequence from 1 that is written as its length: 10 to the 15.
    sequence = struct.pack(">6i", 238, 2, 1, 9 | 64 << 12, 15, 0)[:-4] + b"compact_realseq"
    sequence += struct.pack(">2i", 254, 14) + struct.pack(">i3d", 3, 1e15, 1, 1) + struct.pack(">i", 254)
    content = rds(None)[:-4] + sequence
    with pytest.raises(ValueError, match="too long"):
        values(source(content, "a.rds", tmp_path))
    for length, error in ((2**31 - 1, (IndexError, ValueError)), (-1, ValueError), (-5, ValueError)):
        with pytest.raises(error):
            values(source(rds(None)[:-4] + struct.pack(">2i", 19, length) + b"\0\0", "a.rds", tmp_path))
    survives(rds(of_class("lm", model=frame(IDS, age=ROWS[:, 0]), raw=b"abc")), "a.rds", tmp_path)
    survives(gzip.compress(rdata(a=s4("ksvm", xmatrix=matrix(ROWS, IDS)))), "a.RData", tmp_path)
