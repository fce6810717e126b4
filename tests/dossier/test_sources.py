"""Inputs are checked before anything is made of them, and what might name people is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memberscan.dossier.deriving import derive
from memberscan.dossier.sources import Kind, has, read_inputs
from memberscan.errors import AuditFileError, BadInputError, MisalignedError
from memberscan.report import AuditContent

from .conftest import declaration
from .made_up import changed, of_weights, written

AUDITS: tuple[Kind, ...] = ("audit", "consortium")


def test_a_directory_and_its_file_are_the_same(quiet: AuditContent, tmp_path: Path) -> None:
    folder = written(tmp_path, "one", quiet)
    first = read_inputs([(folder, AUDITS)])
    assert first == read_inputs([(folder / "audit.json", AUDITS)])
    assert first.given[0].file == "inputs/01-audit.json"
    assert first.given[0].data == (folder / "audit.json").read_bytes()
    with pytest.raises(BadInputError, match="given twice"):
        read_inputs([(folder, AUDITS), (folder / "audit.json", AUDITS)])


@pytest.mark.parametrize("place", [(), ("target",), ("findings", 0, "auc")])
def test_unknown_keys_might_name_people_and_are_refused(
    quiet: AuditContent, tmp_path: Path, place: tuple[Any, ...]
) -> None:
    folder = written(tmp_path, "one", quiet)
    content = json.loads((folder / "audit.json").read_text("utf-8"))
    part = content
    for step in place:
        part = part[step]
    part["subject"] = "sub-0001"
    (folder / "audit.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(AuditFileError, match=r"the key 'subject'.*upgrade memberscan"):
        read_inputs([(folder, AUDITS)])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"schema": "memberscan.frontier/1"}', "has the schema 'memberscan.frontier/1'; give audit.json"),
        ("{}", "has the schema None"),
        ("[]", "has the schema None"),
        ('{"schema": "memberscan.audit/1"}', "audit.json has no"),
        ('{"schema": "memberscan.audit/2"}', "newer schema"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "audit.json").write_text(text, "utf-8")
    with pytest.raises(AuditFileError, match=says) as refused:
        read_inputs([(tmp_path, AUDITS)])
    assert str(tmp_path) in str(refused.value)


def test_directories_without_or_with_several_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditFileError, match=r"holds none of audit\.json and consortium\.json"):
        read_inputs([(tmp_path, AUDITS)])
    with pytest.raises(AuditFileError, match="does not exist"):
        read_inputs([(tmp_path / "nowhere", AUDITS)])
    for name in ("audit.json", "consortium.json"):
        (tmp_path / name).write_text("{}", "utf-8")
    with pytest.raises(AuditFileError, match="holds several"):
        read_inputs([(tmp_path, AUDITS)])


def test_audits_of_different_weights_are_no_one_release(quiet: AuditContent, tmp_path: Path) -> None:
    one = of_weights(quiet)
    other = changed(one, provenance={"weights": "b" * 32})
    folders = [written(tmp_path, name, audit) for name, audit in (("one", one), ("other", other))]
    with pytest.raises(
        MisalignedError, match=r"01-audit.json .* and inputs/02-audit.json .*memberscan compare"
    ):
        read_inputs([(folder, AUDITS) for folder in folders])
    # One without weights may be of the same model.
    read_inputs([(folders[0], AUDITS), (written(tmp_path, "third", quiet), AUDITS)])


@pytest.mark.parametrize(
    ("key", "there"), [("a[1].b", True), ("a[2].b", False), ("a[0].c", False), ("a", True), ("a.b", False)]
)
def test_a_key_is_a_path_in_json(key: str, there: bool) -> None:
    assert has({"a": [{"b": 0}, {"b": None}]}, key) is there


def test_values_that_contradict_each_other_are_a_typed_error(quiet: AuditContent, tmp_path: Path) -> None:
    assert quiet.verdict.basis is not None
    wrong = changed(quiet, verdict={"basis": {**quiet.verdict.basis.dump(), "ranking": ["error", "error"]}})
    sources = read_inputs([(written(tmp_path, "one", wrong), AUDITS)])
    with pytest.raises(AuditFileError, match="run the audit again"):
        derive(sources, declaration("api"))
