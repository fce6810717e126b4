"""The secrets of memberscan's own directories are found, and files of the same names elsewhere are not."""

from __future__ import annotations

from memberscan.inspection.own_files import findings, owner_only


def test_secrets_beside_a_run_are_found():
    names = [
        "run/run.json",
        "run/roles.tsv",
        "run/weights.safetensors",
        "other/roles.tsv",
        "a.zip!run.json",
        "a.zip!roles.salt",
    ]
    assert owner_only(names) == ["run/roles.tsv", "a.zip!roles.salt"]
    (found,) = findings(names)
    assert found.grade == "leaks" and "roles.salt and roles.tsv" in found.what


def test_scans_rounds_and_signals_are_for_their_owner():
    names = ["co/cohort.json", "co/volumes.npy", "run/run.json", "run/rounds/1/global.safetensors"]
    names += ["audit/audit.json", "audit/audit.html", "audit/signals/prediction.npy", "elsewhere/volumes.npy"]
    kept = ["co/volumes.npy", "run/rounds/1/global.safetensors", "audit/signals/prediction.npy"]
    assert owner_only(names) == kept


def test_other_files_beside_a_run_are_nobodys_secret():
    assert owner_only(["run.json", "weights.safetensors", "README.md", "src/model.py"]) == []


def test_the_same_names_elsewhere_are_not():
    assert list(findings(["web/request.json", "history.jsonl", "run/run.json"])) == []
    assert owner_only(["web/request.json", "x/run.json"]) == []
