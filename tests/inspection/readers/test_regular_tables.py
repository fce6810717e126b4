"""Blocks of regular tables are parsed as cell by cell, or left to that."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.inspection.readers.regular_tables import regular
from memberscan.inspection.readers.table_columns import columns
from memberscan.inspection.values import Columns

NUMBERS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-999, 10**15 - 1).map(str),
    st.sampled_from(
        ["", "NA", "NaN", ".", "1e-05", "-2.5E+03", "0", "-0", "0.5", ".5", "1.1234567890123456789"]
    ),
)
ODD = st.sampled_from(
    [
        "007",
        "-01",
        "1_000",
        "1234567890123456",
        "word",
        "0x10",
        "1,2",
        " 5",
        "5 ",
        "+ 01",
        "inf",
        "\t",
        "é",
        "00.5",
    ]
)
WORDS = st.sampled_from(["sub-01", "S1", "0012", "a b", "é", "NA", "x07", "1e5", ""])


def by_cells(block: str, separator: str = ",") -> Columns:
    rows = csv.reader(io.StringIO(block, newline=""), delimiter=separator, skipinitialspace=separator == ",")
    (found,) = columns((row for row in rows if row), [])
    return found


def same(one: Columns, other: Columns) -> bool:
    return list(one.columns) == list(other.columns) and all(
        np.array_equal(a, b, equal_nan=True)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
        else isinstance(a, list) and isinstance(b, list) and a == b
        for a, b in zip(one.columns.values(), other.columns.values(), strict=True)
    )


LIKE = by_cells("S1,1.5,2\nS2,2.5,3\n")


@given(st.lists(st.tuples(WORDS, NUMBERS, NUMBERS), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_blocks_are_as_cell_by_cell(rows: list[tuple[str, ...]], end: str):
    block = "".join(",".join(row) + end for row in rows)
    found = regular(block, ",", LIKE)
    assert found is None or same(found, by_cells(block))


@given(st.lists(st.lists(st.one_of(NUMBERS, ODD, WORDS), min_size=1, max_size=4), min_size=1, max_size=6))
def test_odd_blocks_are_as_cell_by_cell_or_left_to_that(rows: list[list[str]]):
    block = "\n".join(",".join(row) for row in rows) + "\n"
    found = regular(block, ",", LIKE)
    assert found is None or same(found, by_cells(block))


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_regular_blocks_are_parsed_at_once(separator: str, end: str):
    random = np.random.default_rng(0)
    rows = [[f"{k:05d}", repr(random.normal()), f"{random.normal() * 1e-6:.3e}"] for k in range(100)]
    block = "".join(separator.join(row) + end for row in rows)
    found = regular(block, separator, LIKE)
    assert found is not None and same(found, by_cells(block, separator))


@pytest.mark.parametrize(
    "line",
    [
        "S3,0071,2\n",
        "S3,1,-01\n",
        "S3,1,1234567890123456\n",
        "S3,1\n",
        "S3,1,2,3\n",
        'S3,1,"2"\n',
        "S3,1,x\n",
        "S3,1,1_000\n",
        "12,1,2\n",
        "S3,NA,NA\n",
        "S3,1,2\0\n",
        "S3,1,2\rS4,1,2\n",
    ],
)
def test_what_needs_a_closer_look_is_left_to_it(line: str):
    assert regular(line, ",", LIKE) is None
