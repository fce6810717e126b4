"""Jupyter notebooks: program text, what it printed, tables and figures."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final

from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.decoding import is_text, whole
from memberscan.inspection.readers.json_yaml import parsed
from memberscan.inspection.readers.table_columns import tables
from memberscan.inspection.readers.text import read_text
from memberscan.inspection.sources import Source
from memberscan.inspection.values import Columns, Picture

_LARGEST: Final = 256 << 20


class Notebook:
    """A Jupyter notebook of any version of its format."""

    name = "notebook"
    needs = ""

    def knows(self, source: Source, head: bytes) -> bool:
        """Return whether it is named as a notebook, or begins with cells as notebooks do."""
        return is_text(head) and (
            source.suffix == ".ipynb" or (b'"cells"' in head and b'"cell_type"' in head)
        )

    def read(self, source: Source) -> Iterator[Item]:
        """Yield the source and the outputs of each cell, and the notebook's metadata."""
        try:
            notebook = parsed(whole(source, _LARGEST))
        except (ValueError, RecursionError):
            notebook = None
        if not isinstance(notebook, dict):
            yield from read_text(source)
            return
        yield Item("metadata", notebook.get("metadata"))
        number = 0
        # Until version 3, cells were in worksheets.
        for sheet in [notebook, *_list(notebook.get("worksheets"))]:
            for cell in _list(sheet.get("cells")):
                number += 1
                source.budget.look()
                yield from _cell(f"cell {number}", cell)


def _list(value: Any) -> list[dict[str, Any]]:
    """Return records as dictionaries; those of equal keys have become a table."""
    if isinstance(value, Columns):
        return [
            dict(zip(value.columns, row, strict=True)) for row in zip(*value.columns.values(), strict=True)
        ]
    return [inner for inner in value if isinstance(inner, dict)] if isinstance(value, list) else []


def _cell(place: str, cell: dict[str, Any]) -> Iterator[Item]:
    yield Item(place, _text(cell.get("source", cell.get("input", ""))))
    if cell.get("metadata"):
        yield Item(f"{place} metadata", cell["metadata"])
    attachments = cell.get("attachments")
    for shown in attachments.values() if isinstance(attachments, dict) else ():
        yield from _shown(f"{place} attachment", shown)
    for output in _list(cell.get("outputs")):
        where = f"{place} output"
        yield from _shown(where, output.get("data"))
        # Version 3 kept what is shown beside the other keys, by names without "image/" and "text/".
        yield from _shown(
            where, {k: v for k, v in output.items() if k in ("png", "jpeg", "svg", "html", "json")}
        )
        for key in ("text", "traceback", "evalue"):
            if output.get(key):
                yield Item(where, _text(output[key]))


def _shown(place: str, data: Any) -> Iterator[Item]:
    for kind, value in data.items() if isinstance(data, dict) else ():
        name = kind.rpartition("/")[2]
        if name in ("png", "jpeg", "gif"):
            yield Item(place, Picture(name, _png_shape(_text(value)) if name == "png" else ()))
        elif name == "html":
            yield from html_items(place, _text(value))
        elif isinstance(value, str | list):
            yield Item(place, _text(value))
        else:
            yield Item(place, value)


def _text(value: Any) -> Any:
    """Return text that is kept as a list of lines as one text."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(line.removesuffix("\n") for line in value)
    return value


def _png_shape(encoded: Any) -> tuple[int, ...]:
    """Return height and width, which stand 16 bytes after the beginning of a PNG file."""
    try:
        head = base64.b64decode(str(encoded)[:44])
    except (binascii.Error, ValueError):
        return ()
    if head[:4] != b"\x89PNG" or len(head) < 24:
        return ()
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def html_items(place: str, html: Any) -> Iterator[Item]:
    """Yield the tables, the embedded images and the remaining text of a web page."""
    if not isinstance(html, str):
        return
    parser = _Tables()
    parser.feed(html)
    parser.close()
    for table in parser.tables:
        yield from (Item(place, columns) for columns in tables(row for row in table if row))
    yield from (Item(place, Picture(name)) for name in parser.pictures)
    if text := " ".join(parser.text):
        yield Item(place, text)


class _Tables(HTMLParser):
    """Collects the cells of tables, the formats of embedded images, and text outside of tables."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []
        self.pictures: list[str] = []
        self._depth = 0
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and value.startswith("data:image/"):
                self.pictures.append(value[len("data:image/") :].partition(";")[0][:20])
            elif value and name in ("src", "href", "alt", "title"):
                self.text.append(value)
        if tag == "table":
            self._depth += 1
            self.tables.append([])
        elif tag == "tr" and self._depth:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self._depth and self.tables[-1]:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._depth = max(0, self._depth - 1)
        if tag in ("td", "th", "tr", "table"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data
        elif data.strip():
            self.text.append(data.strip())
