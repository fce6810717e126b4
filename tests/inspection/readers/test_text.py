"""Text of any encoding comes in blocks that overlap, without the images in it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.decoding import BLOCK
from memberscan.inspection.readers.machine_code import MachineCode
from memberscan.inspection.readers.text import OVERLAP
from memberscan.inspection.values import Picture

from .opening import read, reader_of, source


def texts(content: bytes, scratch: Path, name: str = "train.log") -> list[str]:
    items = read(source(content, name, scratch))
    return [item.value for item in items if isinstance(item, Item) and isinstance(item.value, str)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_an_encoding_is_found(encoding: str, tmp_path: Path) -> None:
    text = "Müller, sub-01\r\nborn 1950-01-02"
    assert texts(text.encode(encoding), tmp_path) == [text]


def test_bytes_that_are_not_utf_8_far_into_the_file_are_latin_1(tmp_path: Path) -> None:
    assert texts(b"a" * 5000 + "Jürgen".encode("latin-1"), tmp_path) == ["a" * 5000 + "Jürgen"]


@settings(max_examples=8)
@given(st.integers(1, BLOCK + BLOCK // 2), st.sampled_from(["ab ", "x", "word\n"]))
def test_blocks_hold_the_whole_text_and_overlap(at: int, filler: str) -> None:
    text = (filler * at)[:at] + " sub-CC110033 " + (filler * BLOCK)[: BLOCK // 2]
    blocks = texts(text.encode(), Path())
    assert blocks[0] + "".join(block[OVERLAP:] for block in blocks[1:]) == text
    assert any("sub-CC110033" in block for block in blocks)
    assert max(map(len, blocks)) <= BLOCK + OVERLAP


def test_embedded_images_are_pictures_and_no_text(tmp_path: Path) -> None:
    page = '<p>sub-01<img src="data:image/png;base64,' + "iVBOR" * 600_000 + '=="> sub-02 <svg>'
    items = read(source(page.encode(), "page.html", tmp_path))
    assert [item.value.format for item in items if isinstance(item.value, Picture)] == ["png"]
    text = "".join(item.value for item in items if isinstance(item.value, str))
    assert "sub-01" in text and "sub-02" in text and "iVBOR" not in text and len(text) < 300


def test_many_bytes_take_little_time(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"epoch 3 of 100, loss 12.345678, validation 13.456789\n" * 600_000)
    start = time.process_time()
    for _ in reader_of(source(path, "train.log", tmp_path)).read(source(path, "train.log", tmp_path)):
        pass
    # 20 s a GiB are 0.6 s for these 32 MiB.
    assert time.process_time() - start < 0.6


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.so", b"\x7fELF\2\1\1\0\xff"), ("b.dll", b"MZ\x90\0"), ("c.pyc", b"\xa7\r\r\n\0\0\0\0")],
)
def test_machine_code_is_known_and_gives_nothing(name: str, head: bytes, tmp_path: Path) -> None:
    file = source(head, name, tmp_path)
    assert isinstance(reader_of(file), MachineCode)
    assert read(file) == []


def test_text_that_begins_as_a_program_is_text(tmp_path: Path) -> None:
    assert texts(b"MZ twins, sub-01", tmp_path) == ["MZ twins, sub-01"]
