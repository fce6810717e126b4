"""Audits of sites are joined, others stand side by side, and nothing counts twice."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from memberscan.errors import AuditFileError, BadInputError, MisalignedError
from memberscan.report import (
    CONSORTIUM_SCHEMA,
    SCHEMA,
    AuditContent,
    ConsortiumContent,
    check,
    check_consortium,
    consortium,
    joining,
    party_words,
    ranking,
    render_consortium,
)
from memberscan.report.content.consortium_json import Entry
from memberscan.report.content.federation_json import Federation
from memberscan.report.sections import consortium_pairs
from memberscan.schemas import published

Audits = dict[str, AuditContent]
SITES = [f"learner-{n}" for n in range(1, 5)]


@pytest.fixture
def sites(merging: Audits) -> Audits:
    """Four sites' audits of one transcript."""
    return {name: audit for name, audit in merging.items() if name.startswith("site-")}


def federation_of(audit: AuditContent) -> Federation:
    assert audit.federation is not None
    return audit.federation


def changed(audit: AuditContent, **update: Any) -> AuditContent:
    """Return an audit whose federation is changed."""
    return audit.model_copy(update={"federation": federation_of(audit).model_copy(update=update)})


def entry_of(content: ConsortiumContent, audit: str) -> Entry:
    return next(entry for entry in content.entries if audit in entry.audits)


def test_the_content_follows_its_schema(merged: ConsortiumContent) -> None:
    content = merged.dump()
    jsonschema.Draft202012Validator(published(CONSORTIUM_SCHEMA)).validate(content)
    assert check_consortium(json.loads(json.dumps(content))) == merged


def test_shapes_that_both_schemas_use_are_the_same() -> None:
    audit, joined = published(SCHEMA)["$defs"], published(CONSORTIUM_SCHEMA)["$defs"]
    both = audit.keys() & joined.keys()
    assert {"Pair", "Victim", "Learner", "Estimate"} <= both
    assert all(audit[name] == joined[name] for name in both)


def test_an_incomplete_one_is_refused(merged: ConsortiumContent) -> None:
    broken = merged.dump()
    del broken["entries"][0]["pairs"][0]["auc"]
    with pytest.raises(AuditFileError, match=r"consortium\.json\.entries\[0\]\.pairs\[0\] has no 'auc'"):
        render_consortium(broken)
    with pytest.raises(AuditFileError, match=r"no consortium\.json of the schema"):
        check_consortium({"schema": "memberscan.audit/1"})
    with pytest.raises(BadInputError, match="no audit to merge"):
        consortium({})


def test_audits_may_be_given_as_they_were_read(sites: Audits) -> None:
    assert consortium({name: audit.dump() for name, audit in sites.items()}) == consortium(sites)


def test_sites_are_joined(sites: Audits) -> None:
    entry, *others = consortium(sites).entries
    assert others == []
    assert entry.audits == tuple(sites)
    assert [learner.name for learner in entry.learners] == SITES
    assert {pair.victim for pair in entry.pairs} == set(SITES)
    attacks = {finding.attack for finding in sites["site-1"].findings}
    assert len(entry.pairs) == 4 * len(attacks)
    pooled = {finding.attack: finding for finding in entry.findings}
    for attack in attacks:
        each = [f for audit in sites.values() for f in audit.findings if f.attack == attack]
        assert pooled[attack].sites == 4
        assert pooled[attack].auc.value == pytest.approx(sum(f.auc.value for f in each) / 4)
        assert pooled[attack].auc == joining.mean_over_sites([f.auc for f in each])
        widths = [f.auc.high - f.auc.low for f in each]
        assert pooled[attack].auc.high - pooled[attack].auc.low < min(widths) * 0.6


def test_holm_runs_over_all_sites_and_attacks(sites: Audits) -> None:
    pairs = sorted(consortium(sites).entries[0].pairs, key=lambda p: p.p_value or 0)
    floor = 0.0
    for rank, pair in enumerate(pairs):
        floor = max(floor, min(1.0, (len(pairs) - rank) * (pair.p_value or 0)))
        assert pair.p_holm == pytest.approx(floor)


def test_one_audit_keeps_its_numbers_and_its_order(merging: Audits) -> None:
    audit = merging["learner"]
    entry = consortium({"a": audit}).entries[0]
    assert set(map(str, entry.pairs)) == set(map(str, federation_of(audit).pairs))
    assert [finding.attack for finding in entry.findings] == list(ranking.basis(audit).ranking)
    for finding in audit.findings:
        same = next(f for f in entry.findings if f.attack == finding.attack)
        numbers = (finding.auc.value, finding.auc.low, finding.auc.high)
        assert (same.auc.value, same.auc.low, same.auc.high) == numbers


def test_an_audit_given_twice_counts_once(sites: Audits) -> None:
    once = consortium(sites).entries[0]
    twice = consortium({**sites, "again": check(sites["site-2"].dump())}).entries[0]
    assert twice.audits == (*sites, "again")
    assert twice.model_copy(update={"audits": once.audits}) == once


def test_victims_with_other_values_are_named(sites: Audits) -> None:
    first, *rest = federation_of(sites["site-2"]).pairs
    pairs = (first.model_copy(update={"p_value": 0.5}), *rest)
    with pytest.raises(
        MisalignedError, match=r"site-2 and other .* people of learner-2, with results that dif"
    ):
        consortium({**sites, "other": changed(sites["site-2"], pairs=pairs)})


def test_a_pair_that_a_site_could_not_judge_gives_way(sites: Audits) -> None:
    nothing = dict.fromkeys(("auc", "accuracy", "p_value", "p_holm"))
    nobody = {**nothing, "members": 0, "reason": "nobody of it is here"}
    own, judged = federation_of(sites["site-1"]).pairs, federation_of(sites["site-2"]).pairs
    empty = tuple(pair.model_copy(update=nobody) for pair in judged)
    sites["site-1"] = changed(sites["site-1"], pairs=(*own, *empty))
    pairs = consortium(sites).entries[0].pairs
    assert len(pairs) == 4 * len(own)
    assert all(pair.auc for pair in pairs)


def test_sums_seen_by_sites_are_about_each_sites_people(sites: Audits) -> None:
    def summed(audit: AuditContent) -> AuditContent:
        federation, own = federation_of(audit), {"attacker": "aggregate", "victim": "all"}
        pairs = tuple(row.model_copy(update=own) for row in federation.pairs)
        victims = tuple(row.model_copy(update={"name": "all"}) for row in federation.victims)
        return changed(audit, attacker="aggregate", pairs=pairs, victims=victims)

    entry = consortium({name: summed(audit) for name, audit in sites.items()}).entries[0]
    assert {pair.victim for pair in entry.pairs} == set(SITES)
    assert {victim.name for victim in entry.victims} == set(SITES)


def test_others_stand_side_by_side(merged: ConsortiumContent) -> None:
    names = [entry.name for entry in merged.entries]
    assert len(names) == len(set(names)) == 8
    assert entry_of(merged, "leaks").federation is None
    assert entry_of(merged, "plain").federation == entry_of(merged, "learner").federation
    assert entry_of(merged, "encrypted").findings == ()
    assert {row.audit for row in entry_of(merged, "encrypted").not_run} == {"encrypted"}


def test_federations_of_one_kind_are_told_apart(merging: Audits) -> None:
    other = changed(merging["learner"], transcript="abcdef" + "0" * 26)
    names = [entry.name for entry in consortium({"a": merging["learner"], "b": other}).entries]
    assert names[1] == "mlp, uniform, IID, abcdef: other learners"
    assert len(set(names)) == 2


def test_secure_aggregation_is_compared_with_the_plain_run(merged: ConsortiumContent) -> None:
    (comparison,) = merged.secure
    shown = [next(e for e in merged.entries if e.name == name) for name in comparison.entries]
    assert [(e.attacker, e.secure) for e in shown] == [
        ("server", "none"),
        ("server", "ckks"),
        ("aggregate", "none"),
    ]
    page = render_consortium(merged)
    assert "What secure aggregation changed" in page
    assert "no attack could run" in page


def test_each_site_is_told_the_strongest_pair(merged: ConsortiumContent, merging: Audits) -> None:
    entry = entry_of(merged, "learner")
    mine = next(s for s in merged.sites if s.federation == entry.federation and s.name == "learner-2")
    against = next(a for a in mine.against if a.entry == entry.name)
    pairs = [p for p in federation_of(merging["learner"]).pairs if p.victim == "learner-2"]
    significant = [p for p in pairs if p.p_holm is not None and p.p_holm < 0.05]
    assert against.pairs == len(pairs) == 3 * len(merging["learner"].findings)
    assert against.shown == len(significant)
    assert against.pair is not None and against.pair.auc is not None
    assert against.pair.auc.low == max(p.auc.low for p in significant or pairs if p.auc)


def test_a_site_without_a_pair_is_told_so(merging: Audits) -> None:
    nothing = dict.fromkeys(("auc", "accuracy", "p_value", "p_holm"))
    pairs = tuple(p.model_copy(update=nothing) for p in federation_of(merging["learner"]).pairs)
    content = consortium({"a": changed(merging["learner"], pairs=pairs)})
    assert content.sites[0].against[0].pair is None
    assert "Other learners: nothing could be judged." in render_consortium(content)


def test_names_and_notes_of_audits_are_shown_as_text(sites: Audits) -> None:
    plain = consortium(sites)
    assert "Names and notes" not in render_consortium(plain)
    first = sites["site-1"]
    heading = {"name": "Ward <b>7</b>", "note": "before the board", "date": "2026-01-01"}
    sites["site-1"] = first.model_copy(update={"provenance": first.provenance.model_copy(update=heading)})
    content = consortium(sites)
    named = content.audits[0]
    assert (named.title, named.note, named.date) == ("Ward <b>7</b>", "before the board", "2026-01-01")
    page = render_consortium(content)
    assert "Ward &lt;b&gt;7&lt;/b&gt;" in page and "before the board" in page and "2026-01-01" in page


def test_the_check_of_all_members_together_is_shown(merging: Audits) -> None:
    audit = merging["learner"]
    differing = (
        federation_of(audit)
        .victims[0]
        .model_copy(
            update={"name": "all learners", "tripped": True, "gates": True, "worst": "age", "auc": 0.61}
        )
    )
    content = consortium({"a": changed(audit, together=differing)})
    assert content.entries[0].together == (differing,)
    (shown,) = consortium_pairs.data(content) or ()
    assert ("all learners", party_words.caveat(differing)) in shown.caveats
    assert shown.victims is not None and shown.victims.rows[-1][0].text == "all learners"
    assert party_words.caveat(differing) in render_consortium(content)


def test_audits_of_sites_keep_their_own_checks_of_all_members(sites: Audits) -> None:
    assert consortium(sites).entries[0].together == ()
    both = federation_of(sites["site-1"]).victims[0].model_copy(update={"name": "all learners"})
    sites = {name: changed(audit, together=both) for name, audit in sites.items()}
    entry = consortium(sites).entries[0]
    assert [victim.name for victim in entry.together] == [f"all learners of {name}" for name in sites]


def test_the_page_names_the_caveat_of_a_site(examples: Audits) -> None:
    content = consortium({"server": examples["server"]})
    page = render_consortium(content)
    assert "But these people can be told from those held out with an AUC of" in page
    assert "without any model, most of all by age: membership and site cannot be told apart here." in page
    assert page == render_consortium(content.dump())
