"""The schema of comparisons is valid, describes every key, and is printed by a command."""

from __future__ import annotations

import json
import runpy
import sys

import jsonschema
import pytest

from memberscan.comparison.schema import published


def test_the_schema_is_valid_described_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonschema.Draft202012Validator.check_schema(published())
    for part, rule in {"top": published(), **published()["$defs"]}.items():
        assert rule["description"], part
        assert all(inner.get("description") or "$ref" in inner for inner in rule["properties"].values()), part
    monkeypatch.setattr(sys, "argv", ["schema"])
    with pytest.warns(RuntimeWarning, match="found in sys.modules"):
        runpy.run_module("memberscan.comparison.schema", run_name="__main__")
    assert json.loads(capsys.readouterr().out) == published()
