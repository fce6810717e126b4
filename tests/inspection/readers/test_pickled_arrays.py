"""Numpy's arrays in pickles and in files of joblib: every type, order and odd shape."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from memberscan.inspection.readers.array_values import nested
from memberscan.inspection.values import Columns, Instance

from .pickle_lab import loaded, plain, values

VOLUME = np.arange(504.0).reshape(7, 8, 9)
CODES = [
    "?",
    "i1",
    "u1",
    "<i2",
    ">i2",
    "<u4",
    ">i8",
    "<f2",
    ">f4",
    "<f8",
    "g",
    "<c8",
    ">c16",
    "<U5",
    ">U2",
    "S3",
]


def _joblib(value: Any) -> bytes:
    stream = io.BytesIO()
    joblib.dump(value, stream)
    return stream.getvalue()


def _same(made: Any, array: np.ndarray) -> None:
    assert isinstance(made, np.ndarray)
    assert (made.dtype, made.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(made, array)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_every_type_and_order(code: str, order: Any) -> None:
    array = np.asarray((np.arange(504) % 90).reshape(7, 8, 9).astype(code), order=order)
    for protocol in range(6):
        _same(loaded(pickle.dumps(array, protocol=protocol)), array)
    _same(loaded(_joblib(array)), array)


shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@settings(max_examples=60)
@given(
    hnp.arrays(hnp.scalar_dtypes().filter(lambda dtype: dtype.kind not in "mM"), shapes), st.integers(0, 5)
)
def test_arrays_are_those_of_pickle(array: np.ndarray, protocol: int) -> None:
    made = loaded(pickle.dumps(array, protocol=protocol))
    assert (made.dtype, made.shape, made.tobytes()) == (array.dtype, array.shape, array.tobytes())
    np.testing.assert_array_equal(loaded(pickle.dumps(np.asfortranarray(array), protocol=protocol)), made)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_objects_become_nested_lists(protocol: int) -> None:
    array = np.empty((2, 3, 1), dtype=object)
    array[:] = np.array([["a", 1, None], [2.5, b"x", (1, 2)]], dtype=object)[:, :, None]
    for turned in (array, array.T, array[::-1], array[0, 0, 0], array[:0]):
        expected = np.asarray(turned, dtype=object).tolist()
        assert loaded(pickle.dumps(np.asarray(turned, dtype=object), protocol=protocol)) == expected
    assert loaded(_joblib({"x": array, "after": 1})) == {"x": array.tolist(), "after": 1}


def test_text_of_any_length_becomes_a_list() -> None:
    # As numpy 2 pickles np.array([["sub-01", "x"]], np.dtypes.StringDType()).
    data = (
        b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nI2\nt"
        b"cnumpy._core._internal\n_convert_to_stringdtype_kwargs\n(I1\ntRI00\n(lVsub-01\naVx\natb."
    )
    assert loaded(data) == [["sub-01", "x"]]


def test_an_array_of_objects_may_hold_itself() -> None:
    array = np.array([None], dtype=object)
    array[0] = array
    assert isinstance(loaded(pickle.dumps(array)), list)


def test_records_become_tables() -> None:
    kind = [("id", "U6"), ("age", ">f4"), ("where", [("x", "i2"), ("y", "i2")]), ("row", "f4", (3,))]
    array = np.zeros(2, dtype=kind)
    array["id"], array["age"], array["row"] = ["sub-01", "sub-02"], [61.5, 72.25], [[1, 2, 3], [4, 5, 6]]
    for data in (*(pickle.dumps(array, protocol=protocol) for protocol in range(6)), _joblib(array)):
        made = loaded(data)
        assert isinstance(made, Columns)
        assert plain(made) == {
            "id": ["sub-01", "sub-02"],
            "age": [61.5, 72.25],
            "where.x": [0, 0],
            "where.y": [0, 0],
            "row": [[1, 2, 3], [4, 5, 6]],
        }
    mixed = np.array([("a", 1.5)], dtype=[("id", object), ("age", "f8")])
    assert plain(loaded(pickle.dumps(mixed))) == {"id": ["a"], "age": [1.5]}
    assert plain(loaded(pickle.dumps(np.rec.array(array)))) == plain(loaded(pickle.dumps(array)))
    assert plain(loaded(pickle.dumps(array[0])))["id"] == ["sub-01"]


def test_dates_become_text_and_lengths_of_time_counts() -> None:
    assert plain(loaded(pickle.dumps(np.array(["2001-02-03", "NaT"], "M8[ns]")))) == ["2001-02-03", "NaT"]
    assert plain(loaded(pickle.dumps(np.array(["2001-02-03T04:05"], ">M8[s]")))) == ["2001-02-03T04:05:00"]
    assert plain(loaded(pickle.dumps(np.array(["2001-02-03T00:00:00.5"], "M8[ms]")))) == [
        "2001-02-03T00:00:00"
    ]
    assert plain(loaded(pickle.dumps(np.array([50], "m8[25s]")))) == [50]


def test_scalars_become_numbers_and_text() -> None:
    scalars = [np.float32(1.5), np.int8(-3), np.bool_(True), np.str_("u"), np.bytes_(b"b"), np.complex64(2j)]
    for protocol in range(6):
        assert loaded(pickle.dumps([*scalars, np.datetime64("2001-02-03")], protocol=protocol)) == [
            *(scalar.item() for scalar in scalars),
            "2001-02-03",
        ]


def test_subclasses_and_masks() -> None:
    assert plain(loaded(pickle.dumps(np.asmatrix([[1, 2]])))) == [[1, 2]]
    masked = loaded(pickle.dumps(np.ma.array([1, 2], mask=[False, True])))
    assert plain(masked.state) == {"data": [1, 2], "mask": [False, True], "fill_value": None}


def test_equal_arrays_stay_one_and_are_found_after_they_are_made() -> None:
    first, second = loaded(pickle.dumps([VOLUME, VOLUME]))
    assert first is second
    np.testing.assert_array_equal(first, VOLUME)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_sparse_matrices_become_arrays(kind: str) -> None:
    dense = np.array([[0, 0, 1.5], [0, 2, 0], [3, 0, 0], [0, 0, 0]])
    for make in (getattr(sparse, f"{kind}_matrix"), getattr(sparse, f"{kind}_array")):
        np.testing.assert_array_equal(loaded(pickle.dumps(make(dense))), dense)
    wide = sparse.csr_matrix((1, 1 << 40))
    assert isinstance(loaded(pickle.dumps(wide)), Instance)


def test_a_sparse_matrix_with_wrong_indices_stays_a_record() -> None:
    matrix = sparse.csr_matrix(np.eye(3))
    for part, wrong in (
        ("indices", [9, 9, 9]),
        ("indptr", [0, 1 << 30, 1 << 31, 1 << 32]),
        ("indptr", [3, 2, 1, 0]),
        ("indptr", [-(1 << 31), 0, 1, 2]),
    ):
        damaged = matrix.copy()
        setattr(damaged, part, np.array(wrong))
        assert isinstance(loaded(pickle.dumps(damaged)), Instance)


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 1), ("xz", 1)])
def test_files_of_joblib(tmp_path: Path, compress: Any) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(
        {"x": VOLUME, "t": VOLUME.T, "o": np.array(["a", 1], dtype=object), "after": "end"}, path, compress
    )
    made = values(path)[""]
    np.testing.assert_array_equal(made["x"], VOLUME)
    np.testing.assert_array_equal(made["t"], VOLUME.T)
    assert (made["o"], made["after"]) == (["a", 1], "end")


def test_files_of_joblib_before_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    # Joblib before version 1.1 wrote neither padding nor the attribute that announces it.
    def write(self: Any, array: np.ndarray, pickler: Any) -> None:
        del self.numpy_array_alignment_bytes
        self.allow_mmap = False

    wrapper = joblib.numpy_pickle.NumpyArrayWrapper
    stream = io.BytesIO()
    pickler = joblib.numpy_pickle.NumpyPickler(stream)
    made = wrapper(np.ndarray, (3,), "C", np.dtype("<f8"), numpy_array_alignment_bytes=None)
    monkeypatch.setattr(wrapper, "write_array", write)
    pickler.dump(made)
    data = stream.getvalue()
    assert data.endswith(b".")
    _same(loaded(data[:-1] + np.arange(3.0).tobytes() + b"."), np.arange(3.0))


def test_nested_lists_are_those_of_numpy() -> None:
    for shape in ((), (1,), (2, 3), (7, 8, 9), (2, 0, 3), (0,)):
        array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
        made = nested(array.ravel().tolist(), shape)
        assert made == (array.tolist() if array.size else [])
    with pytest.raises(ValueError, match="another number"):
        nested([1, 2], (3,))


@pytest.mark.parametrize(
    ("shape", "code", "data"),
    [
        ((1 << 40,), "f8", b"x" * 8),
        ((-1,), "f8", b"x" * 8),
        ((3,), "f8", b"x" * 8),
        ((1,), "f8,f8", b"x" * 16),
        ((1,), "O", b"x" * 8),
        ((1,) * 100, "f8", b"x" * 8),
        ((2,), "O", [1]),
        ("ab", "f8", b"x" * 8),
    ],
)
def test_arrays_that_do_not_fit_their_bytes_stay_records(shape: Any, code: str, data: Any) -> None:
    state = (1, shape, np.dtype("f8") if code == "f8" else code, False, data)
    made = loaded(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        + pickle.dumps(state, protocol=2)[2:-1]
        + b"b."
    )
    assert isinstance(made, Instance)
    assert made.class_name == "numpy.ndarray"
