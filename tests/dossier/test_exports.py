"""Exports say nothing else than the audits, in the shapes that other tools read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memberscan.dossier.deriving import derive
from memberscan.dossier.exports import EXPORTS
from memberscan.dossier.exports.yaml_text import yaml_of
from memberscan.errors import RefusedError
from memberscan.report import AuditContent

from .conftest import Read, declaration
from .made_up import changed, labelled, leaking, of_party

yaml = pytest.importorskip("yaml")


def exported(name: str, read: Read, *contents: Any) -> dict[str, bytes]:
    sources = read(*contents)
    return EXPORTS[name](sources, derive(sources, declaration("api", name="A: release")))  # type: ignore[index]


def attacks(files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    found = json.loads(files["report.json"]).values()
    return {
        entry["metadata"]["attack_name"].removeprefix("memberscan "): entry["attack_experiment_logger"][
            "attack_instance_logger"
        ]["instance_0"]
        for entry in found
    }


def test_sacro_has_every_attack_of_a_quiet_audit_with_its_numbers(quiet: AuditContent, read: Read) -> None:
    files = exported("sacro", read, quiet)
    found = attacks(files)
    assert set(found) == {finding.attack for finding in quiet.findings}
    for finding in quiet.findings:
        metrics = found[finding.attack]
        assert metrics["AUC"] == finding.auc.value and metrics["P_HIGHER_AUC"] == finding.p_value
        assert metrics["TPR@0.1%"] == next(r.value for r in finding.tpr if r.fpr == 0.1)
        assert len(metrics["fpr"]) == len(metrics["tpr"]) and metrics["fpr"][-1] == metrics["tpr"][-1] == 1
    names = list(json.loads(files["report.json"]))
    assert len(set(names)) == len(names) and b"nothing" in files["README.txt"]
    assert yaml.safe_load(files["target.yaml"])["n_samples"] == quiet.target.members


def test_sacro_gets_of_a_leaking_audit_only_what_shows_the_leak(quiet: AuditContent, read: Read) -> None:
    files = exported("sacro", read, leaking(quiet))
    (metrics,) = attacks(files).values()
    assert metrics["P_HIGHER_AUC"] < 0.05
    assert b"another attack of the audit shows a leak" in files["README.txt"]


@pytest.mark.parametrize("label", ["inconclusive", "confounded"])
def test_sacro_gets_no_audit_that_it_would_count_as_support_for_release(
    quiet: AuditContent, read: Read, label: str
) -> None:
    with pytest.raises(RefusedError, match=f"the audit is {label}"):
        exported("sacro", read, labelled(quiet, label))


def test_sacro_gets_nothing_that_its_rule_would_turn_round(quiet: AuditContent, read: Read) -> None:
    wrong = quiet.dump()
    for finding in wrong["findings"]:
        finding["p_value"] = 0.03
    with pytest.raises(RefusedError, match="disagree"):
        exported("sacro", read, type(quiet).model_validate(wrong))


def test_sacro_gets_nothing_that_has_no_p_value_or_is_judged_in_strata(
    quiet: AuditContent, exposed: AuditContent, read: Read
) -> None:
    without = of_party(quiet, "server").dump()
    for finding in without["findings"]:
        finding["p_value"] = None
    strata = exposed.dump()
    strata["verdict"]["basis"]["rule"] = "within strata"
    with pytest.raises(RefusedError, match=r"no p-value.*people who are alike"):
        exported("sacro", read, *(type(quiet).model_validate(each) for each in (without, strata)))


def test_a_model_card_has_metadata_and_a_table_of_attackers(exposed: AuditContent, read: Read) -> None:
    odd = changed(exposed, target={"synthetic": True})
    text = exported("model-card", read, odd)["README.md"].decode()
    _, front, section = text.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert "membership-inference" in metadata["tags"]
    (index,) = metadata["model-index"]
    assert index["name"] == "A: release" and len(index["results"]) == 2
    for result in index["results"]:
        assert {"task", "dataset", "metrics"} <= set(result) and "type" in result["task"]
        assert 0 <= result["metrics"][0]["value"] <= 1
    assert "| a client who queries the model | outputs | No leak shown |" in section
    assert "no proof that nothing leaks" in section and "synthetic phantom" in section


def test_entries_for_monai_invent_nothing(quiet: AuditContent, read: Read) -> None:
    found = json.loads(exported("monai", read, quiet)["metadata.json"])
    assert found["privacy_audit"]["outcome"] == "evidence is missing"
    assert "authors" not in found and "copyright" not in found
    assert found["numpy_version"] == quiet.provenance.versions["numpy"]


def test_a_bids_derivative_is_described(quiet: AuditContent, read: Read) -> None:
    files = exported("bids", read, quiet)
    described = json.loads(files["dataset_description.json"])
    assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} <= set(described)
    assert described["DatasetType"] == "derivative" and described["GeneratedBy"][0]["Name"] == "memberscan"
    assert files[".bidsignore"].decode().split() == ["dossier.json"] and "README" in files


@pytest.mark.parametrize(
    "value",
    [
        {"a": [{"b": 1, "c": [True, None]}, [1, [2, 3]], []], "d": {}, "e": "x: 'y' #z\n", "f": {"g": "é"}},
        {"a": [{"b": {"c": [1]}}, {"d": 2}]},
        [1, "two"],
        "text",
    ],
)
def test_what_is_written_as_yaml_is_read_as_it_was(value: Any) -> None:
    assert yaml.safe_load(yaml_of(value)) == value
