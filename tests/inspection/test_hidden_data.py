"""What is about people is found in unusual places: names of tensors, keys, bytes within values, odd forms."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from memberscan.inspection.cohort_index import CohortIndex
from memberscan.inspection.id_search import IdSearch
from memberscan.inspection.reading import Task
from memberscan.inspection.values import Columns
from tests.inspection.conftest import FEATURES
from tests.inspection.looking import kinds, look

IDS = [f"sub-{k:04d}" for k in range(12)]


def found(path: Path, index: CohortIndex | None = None) -> set[tuple[str, str]]:
    scratch = path.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    report = Task(path, path.name, path.stat().st_size).carry_out(index, scratch)
    assert not any(file.unread for file in report.files), report.files
    return {(each.kind, each.grade) for each in report.findings}


def test_names_of_tensors_are_searched(tmp_path: Path):
    save_file({f"memory.{each}": np.ones(3, np.float32) for each in IDS}, tmp_path / "m.safetensors")
    assert ("ids of people", "leaks") in found(tmp_path / "m.safetensors")
    np.savez(tmp_path / "a.npz", **{each: np.ones(3) for each in IDS})
    assert ("ids of people", "leaks") in found(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "value",
    [
        {"model": pickle.dumps(IDS), "version": "1", "lr": 0.1},
        [1, pickle.dumps({"train": IDS})],
        {"state": np.frombuffer(pickle.dumps(IDS), np.uint8)},
        pd.DataFrame({"name": ["a", "b", "c"], "saved": [b"", b"", gzip.compress(pickle.dumps(IDS))]}),
        {"config": json.dumps(IDS).encode(), "n": 1},
        {(each, "ses-1"): np.ones((2, 2)) for each in IDS},
        {each.encode(): np.ones((2, 2)) for each in IDS},
        {"rows": pd.DataFrame({"n": [1, 2, 3], "who": [["x"], [IDS[:6]], {"k": IDS[6:]}]})},
    ],
    ids=["scalars", "list", "array", "cell", "text", "tuples", "bytes", "objects"],
)
def test_files_and_ids_within_values_are_found(value: object, tmp_path: Path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(value))
    assert ("ids of people", "leaks") in found(tmp_path / "model.pkl")


def test_plain_bytes_and_arrays_of_bytes_are_no_files(tmp_path: Path):
    value = {"rng": np.arange(5056, dtype=np.int64).astype(np.uint8), "key": bytes(64), "n": np.ones(3)}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(value))
    assert found(tmp_path / "model.pkl") == set()


NUMBERS = [100307 + 911 * k for k in range(12)]


@pytest.mark.parametrize(
    "value",
    [
        {each: np.ones((2, 2)) for each in NUMBERS},
        {each: [1.0, 2.0, 3.0] for each in NUMBERS},
        Columns({"region": ["a", "b", "c"], **{str(each): [1, 2, 3] for each in NUMBERS}}),
        np.column_stack([NUMBERS, np.linspace(20, 80, 12)]),
        np.vstack([NUMBERS, np.linspace(20, 80, 12)]),
    ],
    ids=["keys", "columns", "header", "array", "rows"],
)
def test_ids_of_digits_in_keys_headers_and_columns_of_arrays(value: object, digits: CohortIndex):
    assert ("cohort's ids", "leaks") in kinds(value, index=digits)


@pytest.fixture
def digits(tmp_path: Path) -> CohortIndex:
    from memberscan.inspection.cohort_index import index_of

    (tmp_path / "ids.txt").write_text("\n".join(map(str, NUMBERS)))
    index = index_of(None, tmp_path / "ids.txt")
    assert index is not None
    return index


def test_ages_and_counts_are_no_ids_of_a_study_that_counts_its_people():
    search = IdSearch([str(k) for k in range(1, 101)])
    assert search.in_column(np.arange(20.0, 80.0)) == set()
    assert search.in_column(np.arange(1, 301)) == set()
    assert search.in_column([str(k) for k in range(5)]) == set()
    halves = IdSearch([str(k) for k in range(1, 101, 2)])
    assert halves.in_column(np.arange(20, 80)) == set()
    assert len(halves.in_column(np.arange(1, 101, 2))) in (0, 50)


def test_labels_in_a_column_of_an_array_are_proven(people: pd.DataFrame, index: CohortIndex):
    table = np.column_stack([np.arange(60.0), people["age"].to_numpy()])
    assert ("cohort's labels", "leaks") in kinds(table, index=index)


@pytest.mark.parametrize(
    "change",
    [
        np.transpose,
        np.ravel,
        lambda rows: rows.ravel(order="F"),
        lambda rows: np.hstack([rows, np.ones((len(rows), 1))]),
        lambda rows: np.hstack([np.ones((len(rows), 1)), rows]),
        lambda rows: rows.astype(np.float16),
        lambda rows: np.array([(1, row) for row in rows], dtype=[("n", int), ("x", float, len(FEATURES))]),
    ],
    ids=["transposed", "flat", "flat by columns", "intercept", "before", "half", "structured"],
)
def test_inputs_in_other_forms_are_proven(change: object, people: pd.DataFrame, index: CohortIndex):
    assert callable(change)
    value = {"kept": change(people[FEATURES].to_numpy())}
    (proven,) = [each for each in look(value, index=index) if each.kind == "cohort's inputs"]
    assert proven.people == 60
