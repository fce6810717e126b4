"""Audits of sites are joined, others stand side by side, and nothing counts twice."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest

from memberscan.errors import AuditFileError, BadInputError, MisalignedError
from memberscan.report import CONSORTIUM_SCHEMA, check_consortium, consortium, joining, render_consortium
from memberscan.report.schema import published

Audits = dict[str, dict[str, Any]]


@pytest.fixture
def sites(merging: Audits) -> Audits:
    """Four sites' audits of one transcript, the test's own copy."""
    return copy.deepcopy({name: audit for name, audit in merging.items() if name.startswith("site-")})


def entry_of(content: dict[str, Any], audit: str) -> dict[str, Any]:
    return next(entry for entry in content["entries"] if audit in entry["audits"])


def test_the_content_follows_its_schema(merged: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(published(CONSORTIUM_SCHEMA))
    jsonschema.Draft202012Validator(published(CONSORTIUM_SCHEMA)).validate(merged)
    assert check_consortium(json.loads(json.dumps(merged))) == merged


def test_shapes_that_both_schemas_use_are_the_same() -> None:
    audit, joined = published()["$defs"], published(CONSORTIUM_SCHEMA)["$defs"]
    assert all(audit[name] == joined[name] for name in joined.keys() - {"entry"})


def test_an_incomplete_one_is_refused(merged: dict[str, Any]) -> None:
    broken = copy.deepcopy(merged)
    del broken["entries"][0]["pairs"][0]["auc"]
    with pytest.raises(AuditFileError, match=r"consortium\.json\.entries\[0\]\.pairs\[0\] has no 'auc'"):
        render_consortium(broken)
    with pytest.raises(AuditFileError, match=r"no consortium\.json of the schema"):
        check_consortium({"schema": "memberscan.audit/1"})
    with pytest.raises(BadInputError, match="no audit to merge"):
        consortium({})


def test_sites_are_joined(sites: Audits) -> None:
    before = copy.deepcopy(sites)
    entry, *others = consortium(sites)["entries"]
    assert sites == before
    assert others == []
    assert entry["audits"] == list(sites)
    assert [learner["name"] for learner in entry["learners"]] == [f"learner-{n}" for n in range(1, 5)]
    assert {pair["victim"] for pair in entry["pairs"]} == {f"learner-{n}" for n in range(1, 5)}
    assert len(entry["pairs"]) == 8
    pooled = {finding["attack"]: finding for finding in entry["findings"]}
    for attack in ("gradient-cosine", "error:rounds"):
        each = [f for audit in sites.values() for f in audit["findings"] if f["attack"] == attack]
        assert pooled[attack]["sites"] == 4
        assert pooled[attack]["auc"]["value"] == pytest.approx(sum(f["auc"]["value"] for f in each) / 4)
        assert pooled[attack]["auc"] == joining.mean_over_sites([f["auc"] for f in each])
        widths = [f["auc"]["high"] - f["auc"]["low"] for f in each]
        assert pooled[attack]["auc"]["high"] - pooled[attack]["auc"]["low"] < min(widths) * 0.6


def test_holm_runs_over_all_sites(sites: Audits) -> None:
    pairs = consortium(sites)["entries"][0]["pairs"]
    for attack in ("gradient-cosine", "error:rounds"):
        mine = sorted((p for p in pairs if p["attack"] == attack), key=lambda p: p["p_value"])
        floor = 0.0
        for rank, pair in enumerate(mine):
            floor = max(floor, min(1.0, (4 - rank) * pair["p_value"]))
            assert pair["p_holm"] == pytest.approx(floor)


def test_one_audit_keeps_its_numbers(merging: Audits) -> None:
    audit = merging["learner"]
    entry = consortium({"a": audit})["entries"][0]
    assert {json.dumps(p, sort_keys=True) for p in entry["pairs"]} == {
        json.dumps(p, sort_keys=True) for p in audit["federation"]["pairs"]
    }
    for finding in audit["findings"]:
        same = next(f for f in entry["findings"] if f["attack"] == finding["attack"])
        assert all(same["auc"][key] == finding["auc"][key] for key in ("value", "low", "high"))


def test_an_audit_given_twice_counts_once(sites: Audits) -> None:
    once = consortium(sites)["entries"][0]
    twice = consortium({**sites, "again": copy.deepcopy(sites["site-2"])})["entries"][0]
    assert twice["audits"] == [*sites, "again"]
    assert {**twice, "audits": []} == {**once, "audits": []}


def test_victims_with_other_values_are_named(sites: Audits) -> None:
    other = copy.deepcopy(sites["site-2"])
    other["federation"]["pairs"][0]["auc"]["value"] += 0.01
    with pytest.raises(
        MisalignedError, match=r"site-2 and other .* people of learner-2, with results that dif"
    ):
        consortium({**sites, "other": other})


def test_a_pair_that_a_site_could_not_judge_gives_way(sites: Audits) -> None:
    judged = sites["site-2"]["federation"]["pairs"]
    nothing = dict.fromkeys(("auc", "accuracy", "p_value", "p_holm"))
    empty = [pair | nothing | {"members": 0, "reason": "nobody of it is here"} for pair in judged]
    sites["site-1"]["federation"]["pairs"] += empty
    pairs = consortium(sites)["entries"][0]["pairs"]
    assert len(pairs) == 8
    assert all(pair["auc"] for pair in pairs)


def test_sums_seen_by_sites_are_about_each_sites_people(sites: Audits) -> None:
    for audit in sites.values():
        federation = audit["federation"]
        federation["attacker"] = "aggregate"
        for row in federation["pairs"]:
            row |= {"attacker": "aggregate", "victim": "all"}
        for row in federation["victims"]:
            row["name"] = "all"
    entry = consortium(sites)["entries"][0]
    assert {pair["victim"] for pair in entry["pairs"]} == {f"learner-{n}" for n in range(1, 5)}


def test_others_stand_side_by_side(merged: dict[str, Any]) -> None:
    names = [entry["name"] for entry in merged["entries"]]
    assert len(names) == len(set(names)) == 8
    assert entry_of(merged, "leaks")["federation"] is None
    assert entry_of(merged, "outside")["federation"] == entry_of(merged, "learner")["federation"]
    assert entry_of(merged, "encrypted")["findings"] == []
    assert {row["audit"] for row in entry_of(merged, "encrypted")["not_run"]} == {"encrypted"}


def test_federations_of_one_kind_are_told_apart(merging: Audits) -> None:
    other = copy.deepcopy(merging["learner"])
    other["federation"]["transcript"] = "abcdef" + "0" * 26
    names = [entry["name"] for entry in consortium({"a": merging["learner"], "b": other})["entries"]]
    assert names[1] == "cnn3d, uniform, IID, abcdef: other learners"
    assert len(set(names)) == 2


def test_secure_aggregation_is_compared_with_the_plain_run(merged: dict[str, Any]) -> None:
    (comparison,) = merged["secure"]
    shown = [next(e for e in merged["entries"] if e["name"] == name) for name in comparison["entries"]]
    assert [(e["attacker"], e["secure"]) for e in shown] == [
        ("server", "none"),
        ("server", "ckks"),
        ("aggregate", "ckks"),
    ]
    page = render_consortium(merged)
    assert "What secure aggregation changed" in page
    assert "no attack could run" in page


def test_each_site_is_told_the_strongest_pair(merged: dict[str, Any], merging: Audits) -> None:
    plain = entry_of(merged, "learner")["federation"]
    mine = next(s for s in merged["sites"] if s["federation"] == plain and s["name"] == "learner-2")
    against = next(a for a in mine["against"] if a["entry"] == entry_of(merged, "learner")["name"])
    pairs = [p for p in merging["learner"]["federation"]["pairs"] if p["victim"] == "learner-2"]
    significant = [p for p in pairs if p["p_holm"] < 0.05]
    assert against["pairs"] == len(pairs) == 21
    assert against["shown"] == len(significant)
    assert against["pair"] == max(significant or pairs, key=lambda p: p["auc"]["low"])
    smallest = next(s for s in merged["sites"] if s["federation"] == plain and s["name"] == "learner-8")
    assert smallest["against"][0]["pair"] is None


def test_the_page_names_the_caveat_of_a_site(merged: dict[str, Any]) -> None:
    page = render_consortium(merged)
    assert "But its people can be told from those held out with an AUC of 0.83 without any model" in page
    assert page == render_consortium(copy.deepcopy(merged))
