"""Files of no known format: texts in them are found, and the rest is said to be unread."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.inspection.readers.unknown import Unknown
from memberscan.inspection.readers.unknown import _texts as texts_of

from .opening import reader_of, reasons, source, values

NOISE = bytes(8) + np.random.default_rng(0).integers(128, 256, 3000).astype(np.uint8).tobytes()


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le"])
def test_texts_are_found_and_the_rest_is_said(encoding: str, tmp_path: Path) -> None:
    file = source(b"\x01\x02" + NOISE + "sub-0042_T1w".encode(encoding) + NOISE, "graph.bin", tmp_path)
    assert isinstance(reader_of(file), Unknown)
    assert values(file)[""] == "sub-0042_T1w"
    assert reasons(file)[""].startswith("its format is not known")


@given(st.lists(st.sampled_from([b"abc", b"sub-01", b"\0", b"\xff", b"x\0", b"\t"]), max_size=30))
def test_runs_are_those_of_the_regular_expressions(parts: list[bytes]) -> None:
    data = b"".join(parts)
    narrow = re.findall(rb"[\t\x20-\x7e]{6,}", data)
    wide = {run[0] for run in re.finditer(rb"(?=((?:[\t\x20-\x7e]\0){6,}))", data)}
    found = texts_of(data)
    assert found[: len(narrow)] == narrow
    assert set(found[len(narrow) :]) == {
        run[::2] for run in wide if not any(run in w and run != w for w in wide)
    }


def test_texts_between_two_blocks_are_whole(tmp_path: Path) -> None:
    data = bytearray(NOISE * 3000)
    data[(4 << 20) - 5 : (4 << 20) + 7] = b"sub-0042_T1w"
    assert "sub-0042_T1w" in values(source(bytes(data), "graph.bin", tmp_path))[""]
