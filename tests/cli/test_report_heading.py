"""``--name`` and ``--note`` of ``report`` change the head of the page and audit.json, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from .conftest import Command


def test_report_names_a_finished_audit_and_keeps_the_rest(
    command: Command, refused: Callable[..., None], predictions: Path, tmp_path: Path
):
    out = tmp_path / "audit"
    command("audit", predictions, out, "--note", "first", "--predictions-from", "one-pass")
    before = json.loads((out / "audit.json").read_text())
    assert before["provenance"]["note"] == "first"
    command("report", out, "--name", "Board <i>meeting</i>")
    after = json.loads((out / "audit.json").read_text())
    assert after["provenance"] == {**before["provenance"], "name": "Board <i>meeting</i>"}
    assert {**after, "provenance": None} == {**before, "provenance": None}
    assert "Board &lt;i&gt;meeting&lt;/i&gt;" in (out / "audit.html").read_text()
    refused(
        "report", "--merge", out, "--name", "x", "--out", tmp_path / "all", code=2, says="leave out --merge"
    )
    refused("report", out, "--note", "x" * 1001, code=2, says="give at most 1000")
