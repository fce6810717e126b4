"""Two audits are compared person by person where it is known who is who, and it is said where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from memberscan.comparison import compare
from memberscan.comparison.content import COMPARISON_SCHEMA
from memberscan.errors import AuditFileError, BadInputError, MisalignedError, OutputConflictError
from memberscan.evidence.differences import auc_of_people
from memberscan.report import AuditContent
from memberscan.schemas import published

from ..dossier.made_up import changed, labelled, leaking, of_party, of_weights
from .conftest import PEOPLE, Audited, with_auc


def test_on_the_same_people_differences_are_paired(quiet: AuditContent, audited: Audited) -> None:
    before, after = audited("before", leaking(quiet), shift=1.0), audited("after", shift=0.2)
    found = compare(before, after)
    assert found.paired and found.people == PEOPLE and found.pairing.startswith("Paired: 200 people")
    assert found.strongest is not None and found.strongest.shown
    assert found.answer.startswith("“after” gives away less than “before”")
    assert "No leak of “after” is shown, which is no proof" in found.answer
    tables = [pd.read_csv(path / "scores.tsv", sep="\t") for path in (before, after)]
    one, other = (
        auc_of_people(t[found.strongest.attack_first].to_numpy(), t["member"].to_numpy() == 1) for t in tables
    )
    exact = (other - one).interval()
    assert found.strongest.difference.value == pytest.approx(exact.value, abs=0.01)
    assert found.strongest.difference.low == pytest.approx(exact.low, abs=0.01)
    assert {row.attack_first for row in found.attacks} == {finding.attack for finding in quiet.findings}
    jsonschema.validate(found.dump(), published(COMPARISON_SCHEMA))


def test_the_other_way_round_the_signs_change(quiet: AuditContent, audited: Audited) -> None:
    before, after = audited("before", leaking(quiet), shift=1.0), audited("after", shift=0.2)
    one, other = compare(before, after).strongest, compare(after, before)
    assert one is not None and other.strongest is not None
    assert one.difference.value == -other.strongest.difference.value
    assert other.answer.startswith("“before” gives away more than “after”")


def test_people_of_one_audit_alone_count_there_only(audited: Audited) -> None:
    found = compare(audited("one", shift=0.5), audited("two", shift=0.5, first=PEOPLE // 2))
    assert found.paired and found.people == PEOPLE // 2
    assert "200 people of one audit alone count there only" in found.pairing
    few = compare(audited("three"), audited("four", first=PEOPLE - 10))
    assert not few.paired and "have 10 people in common, too few" in few.pairing


def test_without_names_the_intervals_of_the_audits_are_used(quiet: AuditContent, audited: Audited) -> None:
    before = audited("before", with_auc(leaking(quiet), 0.8), named=False)
    after = audited("after", with_auc(quiet, 0.6))
    found = compare(before, after / "audit.json")
    assert not found.paired and found.people is None and "--pseudonyms" in found.pairing
    assert found.strongest is not None and found.strongest.shown
    assert found.strongest.difference.value == pytest.approx(-0.2)
    assert found.strongest.difference.high == pytest.approx(-0.2 + np.hypot(0.05, 0.05), abs=0.02)
    assert any("too wide rather than too narrow" in said for said in found.caveats)


def test_verdicts_that_differ_are_no_difference(quiet: AuditContent, audited: Audited) -> None:
    found = compare(audited("before", leaking(quiet), shift=0.3), audited("after", shift=0.3))
    assert found.strongest is not None and not found.strongest.shown
    assert found.answer.startswith("No difference between “before” and “after” is shown")
    assert "which alone shows no difference" in found.answer


def test_of_a_confounded_audit_there_is_no_answer(quiet: AuditContent, audited: Audited) -> None:
    found = compare(audited("a", labelled(quiet, "confounded"), shift=2.0), audited("b"))
    assert found.answer.startswith("There is no answer") and "“a” is confounded" in found.answer
    assert found.strongest is not None and found.strongest.shown


def test_what_leaks_less_may_still_leak(quiet: AuditContent, audited: Audited) -> None:
    found = compare(audited("a", leaking(quiet), shift=2.0), audited("b", leaking(quiet), shift=0.6))
    assert found.answer.endswith("“b” still leaks.")


def test_parties_and_strata_are_not_paired(quiet: AuditContent, audited: Audited) -> None:
    server = of_party(quiet, "server")
    assert "share people" in compare(audited("a", server), audited("b", server)).pairing
    assert quiet.verdict.basis is not None
    strata = changed(quiet, verdict={"basis": {**quiet.verdict.basis.dump(), "rule": "within strata"}})
    assert "within strata" in compare(audited("c", strata), audited("d")).pairing


def test_audits_of_other_attackers_or_targets_are_refused(quiet: AuditContent, audited: Audited) -> None:
    one = audited("one")
    with pytest.raises(MisalignedError, match="different attackers"):
        compare(one, audited("weights", of_weights(quiet)))
    score = {"name": "mmse", "unit": "points", "classes": [], "step": 0.1}
    with pytest.raises(MisalignedError, match=r"predict different things \(age; mmse\)"):
        compare(one, audited("score", changed(quiet, target={"variable": score})))
    with pytest.raises(MisalignedError, match="trained reference models"):
        compare(one, audited("references", changed(quiet, threat={"references": 8})))
    with pytest.raises(BadInputError, match="given twice"):
        compare(one, one)
    with pytest.raises(AuditFileError, match=r"holds no audit\.json"):
        compare(one, one.parent)


def test_what_is_not_the_same_is_said(quiet: AuditContent, audited: Audited) -> None:
    one = changed(quiet, threat={"references": 4})
    other = changed(
        labelled(quiet, "inconclusive"),
        threat={"references": 8, "checkpoints": 5, "known_nonmembers": 3},
        provenance={"cohort": "another"},
        target={"answers": "rounded"},
    )
    said = " ".join(compare(audited("one", one), audited("other", other)).caveats)
    for part in (
        "different data",
        "4 and 8",
        "different numbers of checkpoints: 0 and 5",
        "different numbers of people",
        "changes its answers",
        "inconclusive",
    ):
        assert part in said


def test_without_an_attack_there_is_nothing_to_compare(quiet: AuditContent, audited: Audited) -> None:
    hidden = of_party(quiet, "server", visible=False)
    found = compare(audited("hidden", hidden), audited("server", of_party(quiet, "server")))
    assert found.strongest is None and found.attacks == () and found.rates == ()
    assert found.answer.startswith("They cannot be compared")


def test_tables_that_do_not_belong_together_are_refused(audited: Audited) -> None:
    one, other = audited("one"), audited("other")
    (one / "pseudonyms.tsv").write_bytes((other / "pseudonyms.tsv").read_bytes())
    with pytest.raises(BadInputError, match="not of one audit"):
        compare(one, other)
    (other / "pseudonyms.tsv").write_text("id\n1\n", "utf-8")
    with pytest.raises(BadInputError, match="do not name people"):
        compare(other, one)


def test_what_is_written_names_nobody_and_is_written_once(
    quiet: AuditContent, audited: Audited, tmp_path: Path
) -> None:
    named = changed(quiet, provenance={"name": "Before the defence"})
    one, other, out = audited("one", named), audited("other", shift=0.5), tmp_path / "out"
    found = compare(one, other, out)
    assert found.first.name == "Before the defence"
    assert json.loads((out / "comparison.json").read_text("utf-8")) == found.dump()
    assert not any(b"sub-0" in path.read_bytes() for path in out.iterdir())
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert compare(one, other, out) == found
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times
    with pytest.raises(OutputConflictError):
        compare(other, one, out)
