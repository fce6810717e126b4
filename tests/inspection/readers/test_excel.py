"""Workbooks: all sheets, comments, and what pivot tables keep; hostile XML is refused."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path

import openpyxl
import pytest
from openpyxl.comments import Comment

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.excel import Excel

from .opening import plain, reader_of, source, survives, values, walked


def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "people"
    for row in (
        ["id", "age", "scan"],
        ["sub-01", 51.5, dt.datetime(2009, 3, 1)],
        ["sub-02", None, None],
        [None, 0, None],
    ):
        sheet.append(row)
    sheet["A2"].comment = Comment("this is Mrs Huber", "Dr House")
    hidden = book.create_sheet("key")
    hidden.sheet_state = "veryHidden"
    hidden["C7"] = "OAS30001"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def with_part(content: bytes, name: str, part: bytes) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            if entry.filename != name:
                new.writestr(entry.filename, old.read(entry))
        new.writestr(name, part)
    return buffer.getvalue()


def test_all_sheets_are_read(tmp_path: Path) -> None:
    file = source(workbook(), "book", tmp_path)
    assert isinstance(reader_of(file), Excel)
    found = values(file)
    people = plain(found["people"])
    assert people["id"] == ["sub-01", "sub-02", None] and people["scan"] == [
        "2009-03-01T00:00:00",
        None,
        None,
    ]
    assert people["age"][0] == 51.5 and people["age"][2] == 0
    assert "OAS30001" in str(plain(found["key"]))


def test_comments_authors_and_kept_tables_are_read(tmp_path: Path) -> None:
    cache = b'<pivotCacheRecords><r><s v="sub-99"/></r></pivotCacheRecords>'
    content = with_part(workbook(), "xl/pivotCache/pivotCacheRecords1.xml", cache)
    text = " ".join(str(item[1]) for _, item in walked(source(content, "book.xlsx", tmp_path)))
    for planted in ("this is Mrs Huber", "Dr House", "sub-99", "openpyxl"):
        assert planted in text


def test_entities_and_large_parts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha">]><a>&b;</a>'
    for encoding in ("utf-8", "utf-16"):
        content = with_part(workbook(), "xl/sharedStrings.xml", bomb.encode(encoding))
        with pytest.raises(ValueError, match="entities"):
            values(source(content, "book.xlsx", tmp_path))
    content = with_part(workbook(), "xl/worksheets/sheet1.xml", bytes(100 << 20))
    with pytest.raises(TooLargeError):
        values(source(content, "book.xlsx", tmp_path))


def test_a_sheet_of_a_declared_million_of_rows_is_bounded(tmp_path: Path) -> None:
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        b'<dimension ref="A1:XFD1048576"/>'
        b'<sheetData><row r="1"><c r="XFD1"><v>7</v></c></row>'
        b'<row r="30000"><c r="A30000"><v>8</v></c></row>'
        b"</sheetData></worksheet>"
    )
    content = with_part(workbook(), "xl/worksheets/sheet1.xml", sheet)
    table = values(source(content, "book.xlsx", tmp_path))["people"]
    assert len(table.columns) == 16384 and plain(table.columns["16384"])[0] == 7


def test_a_workbook_may_end_anywhere(tmp_path: Path) -> None:
    survives(workbook(), "book.xlsx", tmp_path, cuts=8)
