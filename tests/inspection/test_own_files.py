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


def test_the_same_names_elsewhere_are_not():
    assert list(findings(["web/request.json", "history.jsonl", "run/run.json"])) == []
    assert owner_only(["web/request.json", "x/run.json"]) == []
