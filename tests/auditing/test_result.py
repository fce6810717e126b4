"""What an audit result shows of itself, and which files it refuses to read."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from memberscan import AuditResult, audit
from memberscan.errors import AuditFileError

from .conftest import predictions_table


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved audit; not to be changed."""
    import numpy as np

    folder = tmp_path_factory.mktemp("saved")
    table = predictions_table(np.random.default_rng(0), 60, ratio=3.0)
    table.to_csv(folder / "p.tsv", sep="\t", index=False)
    audit(folder / "p.tsv", folder / "audit", attacks=["error", "error:zero-knowledge"])
    return folder / "audit"


@pytest.fixture
def edited(saved: Path, tmp_path: Path):
    """Return a function that writes an audit.json with changes and gives its directory."""

    def write(**changes: object) -> Path:
        content = json.loads((saved / "audit.json").read_text()) | changes
        (tmp_path / "audit.json").write_text(json.dumps(content))
        return tmp_path

    return write


def test_it_has_one_row_an_attack(saved: Path):
    result = AuditResult.load(saved)
    table = result.findings.set_index("attack")
    assert list(table.index) == ["error", "error:zero-knowledge"]
    assert (table["auc_low"] < table["auc_value"]).all() and (table["auc_value"] < table["auc_high"]).all()
    assert (table["auc_simultaneous_low"] < table["auc_value"]).all()
    assert result.verdict in repr(result)


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(saved: Path):
    shown = AuditResult.load(saved)._repr_html_()
    before, _, rest = shown.partition('srcdoc="')
    page, _, after = rest.partition('"')
    assert before == "<iframe " and after.endswith("</iframe>")
    assert html.unescape(page) == (saved / "audit.html").read_text()


def test_a_result_without_scores_can_still_be_read(edited):
    result = AuditResult.load(edited())
    assert result.scores.empty and result.matched.empty


def test_a_newer_schema_is_refused(edited):
    with pytest.raises(AuditFileError, match=r"newer schema memberscan.audit/2.*upgrade memberscan"):
        AuditResult.load(edited(schema="memberscan.audit/2"))


def test_an_incomplete_file_is_refused(edited):
    with pytest.raises(AuditFileError, match=r"audit\.json\.verdict has no 'label'"):
        AuditResult.load(edited(verdict={"sentence": "", "smallest_detectable_auc": 1}))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_a_damaged_file_is_refused(text: str, tmp_path: Path):
    (tmp_path / "audit.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(AuditFileError, match=r"audit\.json"):
        AuditResult.load(tmp_path)


def test_a_directory_without_an_audit_is_refused(tmp_path: Path):
    with pytest.raises(AuditFileError, match=r"holds no audit\.json; run memberscan audit first"):
        AuditResult.load(tmp_path)
