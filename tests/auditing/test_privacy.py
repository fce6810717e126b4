"""The report protects people: no ids, unless asked for; then pseudonyms that a guess does not confirm."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pandas as pd
import pytest

from memberscan import Access, ThreatModel, audit
from memberscan.auditing import stages
from memberscan.auditing.tables import KEY, SALT
from memberscan.errors import BadInputError
from memberscan.files import read_table
from memberscan.runs import Run

from .conftest import MakePredictions


def modes(directory: Path) -> dict[str, int]:
    return {p.name: stat.S_IMODE(p.stat().st_mode) for p in directory.iterdir()}


def test_what_is_shared_names_nobody(predictions: MakePredictions, tmp_path: Path):
    path = predictions(ratio=2.0, scans=2)
    audit(path, tmp_path / "audit")
    for name in ("audit.json", "audit.html", "scores.tsv", "request.json"):
        text = (tmp_path / "audit" / name).read_text()
        assert "Subjekt" not in text and "scan/" not in text
    assert modes(tmp_path / "audit")["scores.tsv"] == 0o600


def test_a_run_s_audit_names_nobody_and_keeps_signals_to_the_owner(run: Run, tmp_path: Path):
    audit(
        run.path,
        tmp_path / "audit",
        threat=ThreatModel(Access.WEIGHTS, repeats=1),
        attacks=["gradient:conv1"],
    )
    for name in ("audit.json", "audit.html", "scores.tsv", "request.json"):
        assert "sub-0" not in (tmp_path / "audit" / name).read_text()
    found = modes(tmp_path / "audit")
    assert found["scores.tsv"] == 0o600
    assert found["signals"] == 0o700


def test_the_order_of_scores_names_nobody(predictions: MakePredictions):
    scores = audit(predictions()).scores
    assert list(scores.columns) == ["member", "error", "prediction+label", "error:zero-knowledge"]
    assert scores["error"].dropna().is_monotonic_increasing


def test_pseudonyms_are_salted_and_their_key_is_the_owner_s(predictions: MakePredictions, tmp_path: Path):
    path = predictions()
    chosen = ["error", "error:zero-knowledge"]
    plain = audit(path, tmp_path / "plain", attacks=chosen).scores
    one, other = (
        audit(path, tmp_path / name, attacks=chosen, pseudonyms=True).scores for name in ("one", "other")
    )
    assert one["pseudonym"].is_unique and one["pseudonym"].is_monotonic_increasing
    assert not set(one["pseudonym"]) & set(other["pseudonym"])
    found = modes(tmp_path / "one")
    assert {found["scores.tsv"], found[KEY], found[SALT]} == {0o600}
    key = read_table(tmp_path / "one" / KEY).set_index("pseudonym")["subject"]
    assert set(key) == set(pd.read_csv(path, sep="\t")["subject_id"])
    guesses = {hashlib.sha256(subject.encode()).hexdigest()[:16] for subject in key}
    assert not guesses & set(one["pseudonym"])
    ordered = one.drop(columns="pseudonym").sort_values([*plain.columns[1:], "member"], ignore_index=True)
    pd.testing.assert_frame_equal(ordered, plain)
    assert "Subjekt" not in (tmp_path / "one" / "scores.tsv").read_text()


def test_pseudonyms_survive_a_kill(
    predictions: MakePredictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, folder = predictions(), tmp_path / "audit"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages.AuditResult, "save", die)
        with pytest.raises(KeyboardInterrupt):
            audit(path, folder, attacks=["error"], pseudonyms=True)
    key = (folder / KEY).read_bytes()
    audit(path, folder, attacks=["error"], pseudonyms=True)
    assert (folder / KEY).read_bytes() == key


def test_pseudonyms_need_a_place_for_their_key(predictions: MakePredictions):
    with pytest.raises(BadInputError, match="need a directory"):
        audit(predictions(), pseudonyms=True)


def test_a_pseudonym_belongs_to_its_subject(predictions: MakePredictions, tmp_path: Path):
    path = predictions()
    scores = audit(path, tmp_path / "audit", pseudonyms=True).scores.set_index("pseudonym")
    key = read_table(tmp_path / "audit" / KEY).set_index("subject")["pseudonym"]
    table = pd.read_csv(path, sep="\t").set_index("subject_id")
    error = -(table["age"] - table["prediction"]).abs()
    found = scores.loc[key.loc[table.index], "error:zero-knowledge"]
    assert abs(found.to_numpy() - error.to_numpy()).max() < 1e-9
