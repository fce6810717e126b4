"""Tables of pandas in pickles: equal columns, whichever version of pandas wrote them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.inspection.readers.arrow_buffers import arrow_column
from memberscan.inspection.readers.byte_stream import ByteStream
from memberscan.inspection.readers.pickle_machine import PickleMachine
from memberscan.inspection.readers.vocabulary import VOCABULARY
from memberscan.inspection.values import Columns, Instance

from .golden.make import tables
from .pickle_lab import budget, instances, loaded, plain

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.pkl"))
EXPECTED = {
    "frame": {
        "index": ["r1", "r2"],
        "id": ["sub-01", "sub-02"],
        "age": [61.5, 72.25],
        "scans": [1, 2],
        "left": [1.5, 2.5],
        "day": ["2001-02-03", "2002-03-04"],
        "sex": ["f", None],
        "site": [7, None],
        "note": ["x", None],
    },
    "levels": {"x": ["a", "b"], "y": [1, 2]},
    "moments": {"when": ["2001-02-03T10:00:01"]},
    "masked": {"s": [1, None]},
    "zoned": {"values": ["2001-02-03"]},
    "scalars": ["2001-02-03T01:02:03.500000", None, 86400.0, None],
    "grouped": {"id": ["sub-01", "sub-02"], "age": [61.5, 72.25], "scans": [1, 2]},
    "transposed": {"index": ["age", "scans"], "r1": [61.5, 1.0], "r2": [72.25, 2.0]},
    "counted": {"0": [0.0, 2.0, 4.0], "1": [1.0, 3.0, 5.0]},
    "pair": {"a b": [1], "a c": [2]},
}


def test_there_are_files_of_all_versions() -> None:
    assert [path.stem for path in GOLDEN] == ["pandas-1.0", "pandas-1.5", "pandas-2.2", "pandas-3.1-pyarrow"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_tables_are_read_from_every_version(path: Path) -> None:
    made = plain(loaded(path.read_bytes()))
    assert {name: made[name] for name in EXPECTED} == EXPECTED
    assert not any(made["empty"].values())


@pytest.mark.parametrize("protocol", range(6))
def test_tables_are_read_in_every_protocol(protocol: int) -> None:
    made = plain(loaded(pickle.dumps(tables(), protocol=protocol)))
    assert {name: made[name] for name in EXPECTED} == EXPECTED


def test_columns_of_one_name_stay_apart() -> None:
    frame = pd.DataFrame(np.arange(6).reshape(2, 3), columns=["a", "a", "a"])
    made = loaded(pickle.dumps(frame))
    assert sorted(column[0] for column in made.columns.values()) == [0, 1, 2]


def test_an_index_that_counts_is_not_expanded() -> None:
    made = loaded(pickle.dumps(pd.RangeIndex(10**12)))
    assert isinstance(made, Instance)
    assert made.state["stop"] == 10**12
    assert isinstance(loaded(pickle.dumps(pd.DataFrame(index=pd.RangeIndex(10**12)))), Columns)


def test_what_is_kept_beside_a_table_is_not_lost() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["who"] = "sub-01"
    machine = PickleMachine(ByteStream.of(pickle.dumps(frame), budget()), VOCABULARY)
    machine.load()
    assert {"who": "sub-01"} in machine.discarded


def test_a_column_of_another_class_does_not_hide_the_others() -> None:
    frame = pd.DataFrame({"id": ["sub-01", "sub-02"], "sparse": pd.arrays.SparseArray([0, 1.5])})
    frame["span"] = pd.interval_range(0, 2)
    machine = PickleMachine(ByteStream.of(pickle.dumps(frame), budget()), VOCABULARY)
    assert plain(machine.load()) == {"id": ["sub-01", "sub-02"]}
    aside = {record.class_name.rpartition(".")[2] for record in instances(machine.discarded)}
    assert {"SparseArray", "IntervalArray"} <= aside


def test_arrays_of_other_classes_stay_records() -> None:
    made = loaded(pickle.dumps({"p": pd.period_range("2001-01", periods=2, freq="M"), "after": 1}))
    assert isinstance(made["p"], Instance)
    assert made["after"] == 1


def _array(kind: str, length: int, buffers: list[bytes | None], offset: int = 0) -> Instance:
    named = Instance("pyarrow.lib.type_for_alias", (kind,))
    return Instance("pyarrow.lib._restore_array", ((named, length, 0, offset, buffers, [], None),))


def test_arrow_columns_are_read_from_their_buffers() -> None:
    # The buffers of pyarrow 26 for pa.array([True, None, False]), pa.array([1, None, 3], pa.int32()) and a
    # sliced pa.array([0.5, 1.5, 2.5])[1:].
    assert arrow_column(budget(), _array("bool", 3, [b"\x05", b"\x01"])) == [True, None, False]
    three = b"\x01\0\0\0\0\0\0\0\x03\0\0\0"
    assert arrow_column(budget(), _array("int32", 3, [b"\x05", three])) == [1, None, 3]
    halves = np.array([0.5, 1.5, 2.5]).tobytes()
    assert arrow_column(budget(), _array("double", 2, [None, halves], 1)) == [1.5, 2.5]
    text = _array("string", 2, [None, b"\0\0\0\0\x01\0\0\0\x03\0\0\0", b"abc"])
    chunks = Instance("pyarrow.lib.chunked_array", ([text, text], None))
    assert arrow_column(budget(), chunks) == ["a", "bc", "a", "bc"]


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (_array("decimal128", 1, [None, b"12345678"]), TypeError),
        (_array("int64", 1 << 40, [None, b"12345678"]), ValueError),
        (_array("string", 1, [None, b"\0\0\0\0\x01\0\0\0", b"a"], 1), TypeError),
        (Instance("pyarrow.lib.other"), TypeError),
        ("text", TypeError),
    ],
)
def test_other_arrow_columns_are_refused(array: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        arrow_column(budget(), array)
