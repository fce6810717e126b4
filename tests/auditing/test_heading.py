"""The head of a report: a name, the auditor's note, the date of the first start and the version."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import audit
from memberscan.auditing import stages
from memberscan.auditing.heading import Heading
from memberscan.errors import BadInputError, OutputConflictError

FIRST, NEXT = "1767225600", "1767312000"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, size=40).round(1)
    table = {"subject_id": [f"s{k:02}" for k in range(40)], "age": age}
    table |= {"prediction": age + rng.normal(size=40), "member": np.arange(40) % 2}
    pd.DataFrame(table).to_csv(tmp_path / "file.csv", index=False)
    return tmp_path / "file.csv"


def test_name_note_date_and_version_stand_in_the_head_as_text(source: Path, tmp_path: Path) -> None:
    name, note = "Ward <b>7</b>", "checked\nby \u202ethe board"
    result = audit(source, tmp_path / "audit", name=name, note=note)
    provenance = result.content["provenance"]
    assert provenance["name"] == name and provenance["date"] == "2026-01-01"
    assert provenance["note"] == "checked by \N{REPLACEMENT CHARACTER}the board"
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "Ward &lt;b&gt;7&lt;/b&gt;" in page and "<b>7</b>" not in page
    assert f"Audited on 2026-01-01 (UTC) by memberscan {version('memberscan')}." in page
    assert "Note by the auditor: checked by" in page


def test_another_name_or_note_changes_a_finished_audit_only_in_its_head(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "audit"
    before = audit(source, out, name="first", note="draft").content
    monkeypatch.setattr(stages, "_work", None)
    after = audit(source, out, name="second").content
    assert after["provenance"] == {**before["provenance"], "name": "second"}
    assert {**after, "provenance": None} == {**before, "provenance": None}
    assert json.loads((out / "audit.json").read_text()) == after
    page = (out / "audit.html").read_text()
    assert "second" in page and "Note by the auditor: draft" in page
    with pytest.raises(OutputConflictError, match="seed is different"):
        audit(source, out, name="third", seed=1)
    written = (out / "audit.html").stat()
    audit(source, out, name="second", note="draft")
    audit(source, out)
    assert (out / "audit.html").stat() == written


def test_an_unfinished_audit_ends_under_the_name_given_last(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = stages._work

    def killed(target, chosen, directory, *rest):
        (directory / "signals").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "_work", killed)
    with pytest.raises(KeyboardInterrupt):
        audit(source, tmp_path / "audit", name="first", note="draft")
    monkeypatch.setattr(stages, "_work", carry_out)
    provenance = audit(source, tmp_path / "audit", name="second").content["provenance"]
    assert provenance["name"] == "second" and provenance["note"] == "draft"


def test_without_them_only_date_and_version_are_shown(source: Path) -> None:
    provenance = audit(source).content["provenance"]
    assert provenance["name"] is provenance["note"] is None
    assert provenance["date"] == "2026-01-01"


@pytest.mark.parametrize(("given", "most"), [("name", 100), ("note", 1000)])
def test_long_texts_are_refused(given: str, most: int) -> None:
    assert getattr(Heading.of(**{"name": None, "note": None, given: "x" * most}), given)
    with pytest.raises(BadInputError, match=f"--{given} has {most + 1} characters; give at most {most}"):
        Heading.of(**{"name": None, "note": None, given: "x" * (most + 1)})


def test_an_audit_that_goes_on_another_day_ends_in_the_same_bytes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(source, tmp_path / "once")
    carry_out = stages._work

    def killed(target, chosen, directory, *rest):
        (directory / "signals").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "_work", killed)
    with pytest.raises(KeyboardInterrupt):
        audit(source, tmp_path / "twice")
    monkeypatch.setattr(stages, "_work", carry_out)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", NEXT)
    audit(source, tmp_path / "twice")
    # The digest of the predictions is keyed by a secret of each directory.
    once, twice = (json.loads((tmp_path / d / "audit.json").read_text()) for d in ("once", "twice"))
    for content in (once, twice):
        del content["provenance"]["predictions"]
    assert once == twice
    kept = (tmp_path / "twice" / "audit.json").read_bytes()
    assert audit(source, tmp_path / "twice").content["provenance"]["date"] == "2026-01-01"
    assert (tmp_path / "twice" / "audit.json").read_bytes() == kept
    assert audit(source, tmp_path / "later").content["provenance"]["date"] == "2026-01-02"


def test_a_date_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("yesterday", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(BadInputError, match="SOURCE_DATE_EPOCH is"):
            Heading.of(None, None)


def test_a_finished_audit_can_be_renamed(source: Path) -> None:
    result = audit(source, note="first")
    renamed = result.renamed("Board meeting").content["provenance"]
    assert renamed == {**result.content["provenance"], "name": "Board meeting"}
    assert result.renamed(note="second").content["provenance"]["note"] == "second"
