"""``memberscan report --merge``: several audits, one page; anything else is refused with what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def sites(command: Callable, predictions: Path, tmp_path: Path) -> list[Path]:
    """Two audits."""
    assert command("audit", predictions, tmp_path / "a").code == 0
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    return [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("repeated", [False, True])
def test_audits_are_merged(command: Callable, sites: list[Path], tmp_path: Path, repeated: bool):
    given = [word for site in sites for word in ("--merge", site)] if repeated else ["--merge", *sites]
    done = command("report", *given, "--out", tmp_path / "out")
    assert done.code == 0
    assert done.out.strip().endswith(f"report: {tmp_path / 'out' / 'consortium.html'}")
    content = json.loads((tmp_path / "out" / "consortium.json").read_text())
    assert [audit["name"] for audit in content["audits"]] == ["a", "b"]
    shown = command("report", *given, "--out", tmp_path / "out", "--json")
    assert json.loads(shown.out) == content


def test_half_a_request_is_refused(refused: Callable, sites: list[Path], tmp_path: Path):
    refused("report", "--merge", sites[0], code=2, says="name each audit and the directory")
    refused("report", sites[0], "--merge", sites[1], "--out", tmp_path / "o", code=2, says="needs audits and")
    refused("report", code=2, says="report takes one AUDIT, or --merge")
    refused("report", sites[0], "--out", tmp_path / "o", code=2, says="report takes one AUDIT")
