"""JSON, JSON lines, YAML, TOML and INI give their values; what cannot be parsed, text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.inspection.readers import json_yaml
from memberscan.inspection.readers.base import Item
from memberscan.inspection.values import Columns, Instance

from .opening import plain, read, source, values

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def untabled(value: Any) -> Any:
    """The value before lists of records were made into tables."""
    if isinstance(value, Columns):
        columns = {name: [*map(untabled, cells)] for name, cells in value.columns.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if isinstance(value, dict):
        return {key: untabled(inner) for key, inner in value.items()}
    return [*map(untabled, value)] if isinstance(value, list) else value


def value(text: str, name: str, scratch: Path) -> Any:
    return values(source(text.encode(), name, scratch))[""]


@settings(max_examples=30)
@given(PLAIN)
def test_json_and_yaml_come_back(written: Any) -> None:
    assert untabled(value(json.dumps(written), "a.json", Path())) == written
    assert value(yaml.safe_dump(written), "a.yaml", Path()) == written


def test_records_become_tables(tmp_path: Path) -> None:
    people = [{"id": f"sub-{i}", "age": i} for i in range(3)]
    table = {"id": ["sub-0", "sub-1", "sub-2"], "age": [0, 1, 2]}
    assert plain(value(json.dumps({"a": people}), "x", tmp_path)) == {"a": table}
    for name in ("a.jsonl", "a.json", "a"):
        assert plain(value("\n".join(map(json.dumps, people)), name, tmp_path)) == table


def test_json_lines_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_yaml, "_RECORDS", 10)
    text = "\n".join(json.dumps({"id": i}) for i in range(25))
    parts = read(source(text.encode(), "a.jsonl", tmp_path))
    assert [one for part in parts if isinstance(part, Item) for one in part.value.columns["id"]] == [
        *range(25)
    ]


def test_a_key_that_is_there_twice_keeps_both_values(tmp_path: Path) -> None:
    assert value('{"id": "sub-01", "id": "x"}', "a.json", tmp_path) == {"id": ["sub-01", "x"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"id": "sub-01", // comment\n}'),
        ("a.json", '["sub-01",' + "[" * 100_000),
        ("a.json", '["sub-01", ' + "9" * 5000 + "]"),
        ("a.yaml", "id: sub-01\n\tx: {{ jinja }}"),
        ("a.yaml", "id: sub-01\nb: " + "[" * 100_000),
        ("a.yaml", "? {id: sub-01}\n: 2\n"),
        ("a.toml", "id = sub-01"),
        ("a.toml", "id = 'sub-01'\nb = " + "[" * 100_000),
        ("a.ini", "sub-01\n= ="),
    ],
)
def test_what_cannot_be_parsed_is_read_as_text(name: str, text: str, tmp_path: Path) -> None:
    found = [item.value for item in read(source(text.encode(), name, tmp_path)) if isinstance(item, Item)]
    assert "sub-01" in str(found[0])[:200]


def test_yaml_makes_records_of_tags_and_executes_nothing(tmp_path: Path) -> None:
    text = f"""
run: !!python/object/apply:os.system ["touch {tmp_path}/executed"]
model: &m !sklearn.svm.SVR {{ids: [sub-01], born: 1950-01-02, itself: *m}}
name: !!python/name:os.system
when: 2009-03-01 10:00:00
base: &b {{x: 1}}
merged: {{<<: *b, y: 2}}
"""
    found = value(text, "a.yaml", tmp_path)
    assert not (tmp_path / "executed").exists()
    assert found["run"].class_name == "python/object/apply:os.system"
    model = found["model"]
    assert isinstance(model, Instance) and model.class_name == "!sklearn.svm.SVR"
    assert (
        model.state["ids"] == ["sub-01"]
        and model.state["born"] == "1950-01-02"
        and model.state["itself"] is model
    )
    assert found["when"] == "2009-03-01 10:00:00" and found["merged"] == {"<<": {"x": 1}, "y": 2}


@pytest.mark.parametrize("link", ["[{}, {}]", "{{<<: [{}, {}]}}"])
def test_a_billion_laughs_stay_small(link: str, tmp_path: Path) -> None:
    levels = ["a0: &a0 {x: sub-01}"] + [
        f"a{i}: &a{i} " + link.format(f"*a{i - 1}", f"*a{i - 1}") for i in range(1, 60)
    ]
    found = value("\n".join(levels), "a.yaml", tmp_path)
    assert len(found) == 60
    innermost = found["a59"]
    for _ in range(59):
        innermost = (innermost["<<"] if isinstance(innermost, dict) else innermost)[0]
    assert innermost == {"x": "sub-01"}


def test_toml_and_ini(tmp_path: Path) -> None:
    assert value("[a]\nborn = 1950-01-02\nids = ['sub-01']", "a.toml", tmp_path) == {
        "a": {"born": "1950-01-02", "ids": ["sub-01"]}
    }
    ini = value("[user]\nname = Huber\nalone\n[user]\npath = %(x)s", "a.cfg", tmp_path)
    assert ini["user"] == {"name": "Huber", "alone": None, "path": "%(x)s"}


def test_what_is_too_large_to_be_parsed_is_read_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_yaml, "_LARGEST_JSON", 10)
    assert "sub-01" in str(value('{"id":\n"sub-01"}', "a.json", tmp_path))
