"""The light check at run time must agree with the published schema, and its messages must help."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memberscan.errors import AuditFileError
from memberscan.report import SCHEMA, check
from memberscan.report.schema import published

VALIDATOR = jsonschema.Draft202012Validator(published())


def without_curves(audit: dict[str, Any]) -> dict[str, Any]:
    """Return the audit with ROC curves of two points, which are quick to copy."""
    short = {"roc": {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}}
    return {**audit, "findings": [finding | short for finding in audit["findings"]]}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a JSON value; of lists, only the first items."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value[:2]))
    return [p for key, item in inside for p in [(*path, key), *places(item, (*path, key))]]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_the_schema_is_valid_and_describes_everything() -> None:
    jsonschema.Draft202012Validator.check_schema(published())
    undescribed = []

    def visit(rule: Any, path: str) -> None:
        if isinstance(rule, dict):
            if "type" in rule and "description" not in rule:
                undescribed.append(path)
            for key, inner in rule.items():
                visit(inner, f"{path}/{key}")

    for key in ("properties", "$defs"):
        for name, rule in published()[key].items():
            visit(rule, name)
    allowed = "anyOf"  # the description of an optional value stands beside anyOf
    assert [p for p in undescribed if allowed not in p] == []


def test_examples_follow_the_schema(audit: dict[str, Any]) -> None:
    VALIDATOR.validate(audit)
    assert check(audit) == audit
    assert check(json.loads(json.dumps(audit))) == audit


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_check_agrees_with_jsonschema(examples: dict[str, dict[str, Any]], data: st.DataObject) -> None:
    audit = copy.deepcopy(without_curves(examples[data.draw(st.sampled_from(sorted(examples)))]))
    path = data.draw(st.sampled_from([p for p in places(audit) if p != ("schema",)]))
    holder, key = at(audit, path[:-1]), path[-1]
    damage = data.draw(st.sampled_from(["remove", "replace"]))
    if damage == "remove" and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = data.draw(st.sampled_from([None, True, -1, 0, 0.5, 7.5, "text", [], {}]))
    valid = VALIDATOR.is_valid(audit)
    if valid:
        check(audit)
    else:
        with pytest.raises(AuditFileError, match=r"audit\.json.*run the audit again"):
            check(audit)


def test_a_newer_schema_asks_to_upgrade(leaking: dict[str, Any]) -> None:
    leaking["schema"] = "memberscan.audit/2"
    with pytest.raises(AuditFileError, match=r"newer schema memberscan.audit/2.*upgrade memberscan"):
        check(leaking)


@pytest.mark.parametrize("name", ["memberscan.audit/0", "memberscan.cohort/1", "", "memberscan.audit/x"])
def test_another_schema_is_refused(leaking: dict[str, Any], name: str) -> None:
    leaking["schema"] = name
    with pytest.raises(AuditFileError, match=f"unknown; this version of memberscan reads {SCHEMA}"):
        check(leaking)


@pytest.mark.parametrize("value", [None, [], "memberscan.audit/1", 3, {}, {"schema": 1}, {"verdict": {}}])
def test_what_is_no_audit_is_refused(value: Any) -> None:
    with pytest.raises(AuditFileError, match=r"not an audit\.json of memberscan"):
        check(value)


def test_the_message_names_the_place(leaking: dict[str, Any]) -> None:
    broken = copy.deepcopy(leaking)
    del broken["findings"][2]["auc"]["simultaneous"]
    with pytest.raises(AuditFileError, match=r"audit\.json\.findings\[2\]\.auc has no 'simultaneous'"):
        check(broken)
    leaking["findings"][0]["auc"]["value"] = 1.5
    with pytest.raises(AuditFileError, match=r"findings\[0\]\.auc\.value is 1\.5.*from 0 to 1"):
        check(leaking)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_must_be_finite(leaking: dict[str, Any], value: float) -> None:
    leaking["checks"]["gap"]["h"]["value"] = value
    with pytest.raises(AuditFileError, match=r"checks\.gap\.h\.value"):
        check(leaking)


def test_unknown_keys_pass(leaking: dict[str, Any]) -> None:
    leaking["later"] = {"more": 1}
    leaking["findings"][0]["later"] = "x" * 100
    check(leaking)


def test_texts_and_findings_beyond_all_measure_are_refused_before_they_are_drawn(
    leaking: dict[str, Any],
) -> None:
    first = leaking["findings"][0]
    with pytest.raises(AuditFileError, match=r"findings has 1,001 entries, and may have 1,000"):
        check({**leaking, "findings": [first] * 1001})
    with pytest.raises(AuditFileError, match=r"attack has 100,001 characters, and may have 100,000"):
        check({**leaking, "findings": [{**first, "attack": "x" * 100_001}]})
