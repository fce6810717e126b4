"""Fonts and time zones are known; translations are read as text."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from memberscan.inspection.readers.software_data import SoftwareData, Translation

from .opening import read, reader_of, source, values


@pytest.mark.parametrize(
    ("data", "name"),
    [(b"\0\1\0\0\0\x12\1\0", "a.ttf"), (b"wOF2\0\1\0\0", "a.woff2"), (b"TZif2\0\0\0", "Berlin")],
)
def test_fonts_and_time_zones_hold_nothing(data: bytes, name: str, tmp_path: Path) -> None:
    file = source(data + bytes(40), name, tmp_path)
    assert isinstance(reader_of(file), SoftwareData) and read(file) == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_translations_are_text(order: str, tmp_path: Path) -> None:
    data = struct.pack(f"{order}7I", 0x950412DE, 0, 1, 28, 36, 0, 44) + bytes(16) + "Alter\0Âge\0".encode()
    file = source(data, "de.mo", tmp_path)
    assert isinstance(reader_of(file), Translation)
    assert "Alter\nÂge" in values(file)[""]
