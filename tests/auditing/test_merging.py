"""Audits of sites, as directories or files, become a consortium's page, and nothing is written over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.auditing import audit
from memberscan.auditing.merging import CONSORTIUM, PAGE, load_audits, merge
from memberscan.errors import AuditFileError, BadInputError, OutputConflictError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished audit of predictions of 60 people."""
    directory = tmp_path_factory.mktemp("merging")
    rng = np.random.default_rng(5)
    age = rng.uniform(45, 80, 60)
    people = pd.DataFrame(
        {
            "subject_id": [f"p{n}" for n in range(60)],
            "age": age,
            "prediction": age + rng.normal(0, 3, 60),
            "member": np.arange(60) % 2,
        }
    )
    people.to_csv(directory / "p.tsv", sep="\t", index=False)
    audit(directory / "p.tsv", directory / "audit")
    return directory / "audit"


def test_names_are_as_short_as_they_can_be(finished: Path, tmp_path: Path) -> None:
    for site in ("a", "b"):
        shutil.copytree(finished, tmp_path / site / "audit")
    assert list(load_audits([tmp_path / "a" / "audit"])) == ["audit"]
    both = load_audits([tmp_path / "a" / "audit", tmp_path / "b" / "audit"])
    assert list(both) == ["a/audit", "b/audit"]
    assert list(load_audits([finished / "audit.json"])) == ["audit.json"]


def test_page_and_content_are_written_and_the_same_again(finished: Path, tmp_path: Path) -> None:
    audits = load_audits([finished])
    content = merge(audits, tmp_path / "out")
    first = {name: (tmp_path / "out" / name).read_bytes() for name in (PAGE, CONSORTIUM)}
    assert json.loads(first[CONSORTIUM]) == content
    assert b"what each party can learn" in first[PAGE]
    merge(audits, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in first} == first


def test_another_merge_is_not_written_over(finished: Path, tmp_path: Path) -> None:
    audits = load_audits([finished])
    merge(audits, tmp_path / "out")
    with pytest.raises(OutputConflictError):
        merge({"other": audits["audit"]}, tmp_path / "out")


def test_bad_sources_are_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="given twice"):
        load_audits([finished, finished])
    with pytest.raises(AuditFileError, match=r"nothing holds no audit\.json"):
        load_audits([tmp_path / "nothing"])
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(AuditFileError, match=r"broken\.json: this is not an audit\.json"):
        load_audits([tmp_path / "broken.json"])
