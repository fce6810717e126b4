"""The published schemas are valid, describe every key, and are printed by a command."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest

from memberscan.schemas import CONTENTS, main, published


@pytest.mark.parametrize("name", CONTENTS)
def test_the_schema_is_valid_and_describes_every_part_and_key(name: str) -> None:
    schema = published(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == name.replace("memberscan.", "urn:memberscan:").replace("/", ":")
    for part, rule in {"top": schema, **schema["$defs"]}.items():
        assert rule["description"] and "\n" not in rule["description"], part
        assert rule["additionalProperties"] is False
        for key, inner in rule["properties"].items():
            # What would repeat the description of the part that is referred to is left out.
            assert inner.get("description") or "$ref" in inner, (part, key)
            assert "title" not in inner


def test_schemas_are_printed_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("audit", "consortium", "comparison", "dossier", "inspection"):
        assert main([kind]) == 0
        assert json.loads(capsys.readouterr().out) == published(f"memberscan.{kind}/1")


@pytest.mark.parametrize("arguments", [[], ["report"], ["audit", "dossier"]])
def test_another_kind_is_told_of_these(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "audit, consortium, comparison, dossier, inspection" in capsys.readouterr().err


def test_the_module_is_a_command() -> None:
    command = [sys.executable, "-m", "memberscan.schemas", "dossier"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert json.loads(printed) == published("memberscan.dossier/1")
