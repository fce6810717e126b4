"""A dossier is made and verified from the command line, and refused without a declared context."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memberscan.dossier import making

from .conftest import Command


@pytest.fixture
def audited(command: Command, predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An audit of predictions; no browser prints."""
    monkeypatch.setattr(making, "pdf_of", lambda _: None)
    assert command("audit", predictions, tmp_path / "audit").code == 0
    return tmp_path / "audit"


def test_a_dossier_is_made_and_verified(command: Command, audited: Path, tmp_path: Path) -> None:
    out = tmp_path / "dossier"
    make = ("dossier", audited, "--context", "api", "--export", "bids", "monai", "--out", out)
    done = command(*make)
    assert (done.code, done.err) == (0, "")
    assert "Missing:" in done.out and f"page: {out / 'dossier.html'}" in done.out
    assert "print it" in done.out
    digest = done.out.strip().splitlines()[-1].rpartition(" ")[2]
    assert command("verify", out, "--sha256", digest).code == 0
    assert f"sha256          {digest}" in command("verify", out).out
    found = json.loads(command("verify", out, "--json").out)
    assert found["sha256"] == digest and "dossier.html" in found["derived_again"]
    content = json.loads(command(*make, "--json").out)
    assert content == json.loads((out / "dossier.json").read_text("utf-8"))
    # The ids of people are in the audited table, and nowhere in the dossier.
    assert not any(b"subject" in path.read_bytes() for path in out.rglob("inputs/*.json"))
    (out / "dossier.html").write_text("")
    broken = command("verify", out, "--json")
    assert broken.code == 3 and json.loads(broken.out)["error"]["type"] == "DossierError"
    assert "dossier.html was changed" in broken.err


def test_without_a_context_it_is_refused(command: Command, audited: Path, tmp_path: Path) -> None:
    done = command("dossier", audited, "--out", tmp_path / "dossier")
    assert done.code == 3 and not (tmp_path / "dossier").exists()
    for name in ("internal", "api", "open-weights", "federation"):
        assert f"  {name}: " in done.err
