"""Notebooks: sources, printed text, tables, figures and metadata of all versions."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd

from memberscan.inspection.readers.base import Item
from memberscan.inspection.readers.notebooks import Notebook
from memberscan.inspection.values import Columns, Picture

from .opening import plain, read, reader_of, source, survives

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + b"\x08"
).decode()


def notebook() -> dict[str, Any]:
    frame = pd.DataFrame({"id": ["sub-01", "sub-02"], "age": [51, 52]})
    shown = {
        "text/html": frame.to_html().splitlines(True),
        "text/plain": [frame.to_string()],
        "image/png": PNG,
    }
    code = {
        "cell_type": "code",
        "metadata": {"tags": ["a"]},
        "source": ["load(\n", "'/home/huber/data')"],
        "execution_count": 1,
        "outputs": [
            {"output_type": "execute_result", "data": shown, "metadata": {}, "execution_count": 1},
            {"output_type": "stream", "name": "stdout", "text": ["OAS30001\n", "OAS30002"]},
            {"output_type": "error", "ename": "E", "evalue": "bad sub-77", "traceback": ["line 1", "line 2"]},
            {"output_type": "display_data", "data": {"application/json": {"x": 1}}, "metadata": {}},
        ],
    }
    text = {
        "cell_type": "markdown",
        "metadata": {},
        "source": "# Mr Huber",
        "attachments": {"a.png": {"image/png": PNG}},
    }
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"authors": [{"name": "Huber"}]},
        "cells": [code, text],
    }


def found(content: dict[str, Any], name: str, scratch: Path) -> list[Item]:
    file = source(json.dumps(content).encode(), name, scratch)
    assert isinstance(reader_of(file), Notebook)
    return [item for item in read(file) if isinstance(item, Item)]


def test_all_of_a_notebook_is_read(tmp_path: Path) -> None:
    items = found(notebook(), "a.ipynb", tmp_path)
    assert items[0] == Item("metadata", {"authors": [{"name": "Huber"}]})
    assert Item("cell 1", "load(\n'/home/huber/data')") in items
    assert Item("cell 1 output", "OAS30001\nOAS30002") in items
    assert Item("cell 1 output", "line 1\nline 2") in items
    assert Item("cell 1 output", {"x": 1}) in items
    assert Item("cell 2", "# Mr Huber") in items
    (table,) = (item.value for item in items if isinstance(item.value, Columns))
    assert plain(table)["id"] == ["sub-01", "sub-02"] and plain(table)["age"] == [51, 52]
    pictures = [(item.place, plain(item.value)) for item in items if isinstance(item.value, Picture)]
    assert pictures == [("cell 1 output", ("png", (480, 640))), ("cell 2 attachment", ("png", (480, 640)))]


def test_cells_with_equal_keys_are_read_too(tmp_path: Path) -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "sub-01"}
    assert [item.value for item in found({"cells": [cell, cell]}, "a", tmp_path)] == [
        None,
        "sub-01",
        "sub-01",
    ]


def test_version_3_is_read(tmp_path: Path) -> None:
    cell = {
        "cell_type": "code",
        "input": "x",
        "outputs": [{"output_type": "pyout", "png": PNG, "html": "<b>sub-01</b>"}],
    }
    items = found({"worksheets": [{"cells": [cell]}], "nbformat": 3}, "a.ipynb", tmp_path)
    assert [plain(item.value) for item in items[1:]] == ["x", ("png", (480, 640)), "sub-01"]


def test_an_image_in_a_page_is_a_picture(tmp_path: Path) -> None:
    cell = {
        "cell_type": "code",
        "source": "",
        "outputs": [{"data": {"text/html": f'<img src="data:image/png;base64,{PNG}">'}}],
    }
    items = found({"cells": [cell]}, "a.ipynb", tmp_path)
    assert plain(items[-1].value) == ("png", ())


def test_a_damaged_notebook_is_read_as_text(tmp_path: Path) -> None:
    content = json.dumps(notebook()).encode()
    assert "Huber" in str(read(source(content[:-50], "a.ipynb", tmp_path)))
    survives(content, "a.ipynb", tmp_path)
