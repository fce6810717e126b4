"""The types must agree with the schema that is generated from them, and their messages must help."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from memberscan.errors import AuditFileError
from memberscan.report import SCHEMA, AuditContent, check
from memberscan.schemas import published

VALIDATOR = jsonschema.Draft202012Validator(published(SCHEMA))


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


def test_examples_follow_the_schema(audit: AuditContent) -> None:
    content = audit.dump()
    VALIDATOR.validate(content)
    assert check(content) == audit
    assert check(json.loads(json.dumps(content))).dump() == content


def test_content_cannot_be_changed(examples: dict[str, AuditContent]) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        examples["leaks"].verdict.label = "no leak shown"


def test_audits_of_early_versions_are_still_read(audit: AuditContent) -> None:
    content = audit.dump()
    del content["disclosure"], content["verdict"]["basis"], content["checks"]["blind"]["reasons"]
    del content["threat"]["known_members"], content["threat"]["known_nonmembers"]
    if content["federation"]:
        del content["federation"]["held_out_randomised"]
    early = check(content)
    assert early.dump() == content
    assert early.disclosure.smallest_cell == 5
    assert early.threat.known == (content["threat"]["known_per_side"],) * 2


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_check_agrees_with_jsonschema(examples: dict[str, AuditContent], data: st.DataObject) -> None:
    audit = examples[data.draw(st.sampled_from(sorted(examples)))].dump()
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
    with pytest.raises(AuditFileError, match=r"findings\[0\]\.auc\.value is 1\.5: .*less than or equal to 1"):
        check(leaking)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_must_be_finite(leaking: dict[str, Any], value: float) -> None:
    leaking["checks"]["gap"]["h"]["value"] = value
    with pytest.raises(AuditFileError, match=r"checks\.gap\.h\.value"):
        check(leaking)


@pytest.mark.parametrize(("value", "wrong"), [("0.6", "number"), (True, "number"), (None, "number")])
def test_nothing_is_converted(leaking: dict[str, Any], value: Any, wrong: str) -> None:
    leaking["findings"][0]["auc"]["low"] = value
    with pytest.raises(AuditFileError, match=rf"findings\[0\]\.auc\.low is .*valid {wrong}"):
        check(leaking)


def test_unknown_keys_pass_and_are_kept(leaking: dict[str, Any]) -> None:
    leaking["later"] = {"more": 1}
    leaking["findings"][0]["later"] = "x" * 100
    assert check(leaking).dump() == leaking


def test_texts_are_made_safe_to_show(leaking: dict[str, Any]) -> None:
    leaking["target"]["model"] = "a\x1b[31mb"
    leaking["later"] = {"\u202e": "c\x07"}
    content = check(leaking)
    assert content.target.model == "a\ufffd[31mb"
    assert content.dump()["later"] == {"\ufffd": "c\ufffd"}


def test_texts_and_findings_beyond_all_measure_are_refused_before_they_are_drawn(
    leaking: dict[str, Any],
) -> None:
    first = leaking["findings"][0]
    with pytest.raises(AuditFileError, match=r"findings is .*at most 1000 items"):
        check({**leaking, "findings": [first] * 1001})
    with pytest.raises(AuditFileError, match=r"attack is .*at most 100000 characters"):
        check({**leaking, "findings": [{**first, "attack": "x" * 100_001}]})
