"""Every figure has its values in a table, no table shows what few people cannot resolve, words fit facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from memberscan.report import AuditContent, ConsortiumContent, check, render_html, sections, svg
from memberscan.report.content.audit_json import Threat
from memberscan.report.content.consortium_json import Entry, JoinedAudit
from memberscan.report.content.federation_json import Federation, Pair
from memberscan.report.content.finding_json import Roc
from memberscan.report.content.parts import Estimate
from memberscan.report.content.variable_json import AGE
from memberscan.report.sections import (
    attack_results,
    consortium_summary,
    false_alarms,
    federation_about,
    group_exposure,
    method_notes,
    model_errors,
    not_tried,
    secure_comparison,
    self_checks,
    site_advice,
    summary,
)
from memberscan.report.table_cells import Cell, Table

Examples = dict[str, AuditContent]
rates = st.lists(st.integers(0, 20), min_size=1, max_size=30).map(
    lambda xs: [0.0, *sorted(x / 20 for x in xs), 1.0]
)


def tables(value: object) -> Iterator[Table]:
    """Return all tables within the data of a section."""
    if isinstance(value, Table):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tables(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from tables(getattr(value, field.name))


def test_each_section_is_a_folder_with_its_template() -> None:
    for section in (*sections.AUDIT, *sections.CONSORTIUM):
        root = resources.files("memberscan.report")
        assert root.joinpath(section.template).is_file()
        assert all(root.joinpath(style).is_file() for style in section.styles)
    for page in (sections.AUDIT, sections.CONSORTIUM):
        assert len({section.anchor for section in page}) == len(page)


def test_rows_are_as_long_as_the_head(
    audit: AuditContent, merged: ConsortiumContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Figures take their time, and are drawn in other tests.
    monkeypatch.setattr(svg, "draw", lambda *_: Markup(""))
    found = [table for section in sections.AUDIT for table in tables(section.data(audit))]
    found += [table for section in sections.CONSORTIUM for table in tables(section.data(merged))]
    assert len(found) >= 10
    for table in found:
        assert all(len(row) == len(table.columns) for row in table.rows), table.caption


@given(rates, st.floats(0, 1))
def test_true_positive_rate_against_a_naive_twin(fpr: list[float], rate: float) -> None:
    tpr = [i / (len(fpr) - 1) for i in range(len(fpr))]
    naive = max(t for f, t in zip(fpr, tpr, strict=True) if f <= rate + 1e-12)
    assert false_alarms.true_positive_rate(Roc(fpr=tuple(fpr), tpr=tuple(tpr)), rate) == naive


def test_a_curve_that_starts_later_gives_zero() -> None:
    assert false_alarms.true_positive_rate(Roc(fpr=(0.2, 1.0), tpr=(0.4, 1.0)), 0.1) == 0.0


def test_unresolved_rates_are_na_with_their_reason(examples: Examples) -> None:
    table = false_alarms.low_false_alarms(examples["leaks"])
    assert table.columns == ("Attack", "10% false alarms", "1% false alarms", "0.1% false alarms")
    for row in table.rows:
        assert row[3].text == "n/a"
        assert "needs 3,000 non-members" in table.notes[row[3].mark - 1]
    assert any(row[1].text.endswith("%") for row in table.rows)
    section = false_alarms.data(examples["leaks"])
    assert section is not None and section.precision_of_all is not None
    assert {row[1].text for row in section.precision_of_all.rows} == {"10%"}


def test_roc_curves_are_drawn_only_where_they_show_low_rates(examples: Examples) -> None:
    many, few = (false_alarms.data(examples[name]) for name in ("leaks", "server"))
    assert false_alarms.lowest_rate(examples["leaks"]) <= 0.2 < false_alarms.lowest_rate(examples["server"])
    assert many is not None and many.figure is not None
    assert few is not None and few.figure is None
    assert "Too few non-members were scored to draw ROC curves" in render_html(examples["server"])


def test_a_rate_that_one_attack_lacks_is_na(leaking: dict[str, Any]) -> None:
    leaking["findings"][0]["tpr"] = []
    table = false_alarms.low_false_alarms(check(leaking))
    row = next(r for r in table.rows if r[0].text == leaking["findings"][0]["attack"])
    assert [cell.text for cell in row[1:]] == ["n/a"] * 3


def test_roc_stops_where_few_non_members_are_left(examples: Examples) -> None:
    table = false_alarms.curve_table(examples["leaks"])
    assert {row[table.columns.index("0.1%")].text for row in table.rows} == {"n/a"}
    assert all(row[table.columns.index("50%")].text != "n/a" for row in table.rows)


def test_strata_have_their_own_column(examples: Examples) -> None:
    assert "AUC within strata" not in attack_results.attack_table(examples["leaks"]).columns
    table = attack_results.attack_table(examples["confounded_leak"])
    place = table.columns.index("AUC within strata")
    finding = next(f for f in examples["confounded_leak"].findings if f.attack == table.rows[0][0].text)
    assert finding.within_strata is not None
    assert float(table.rows[0][place].text) == pytest.approx(finding.within_strata.auc.value, abs=0.005)
    assert float(table.rows[0][place - 1].text) == pytest.approx(finding.auc.value, abs=0.005)


def test_groups_have_units_and_reasons(examples: Examples) -> None:
    rows = {
        row[0].text: row for row in group_exposure.group_table(examples["inconclusive"].exposure, AGE).rows
    }
    assert {"sex: F", "sex: M"} < set(rows)
    assert any(name.endswith(" years") for name in rows)
    tiny = examples["tiny"].dump()
    tiny["exposure"]["groups"][0] |= {"auc": None, "accuracy": None, "reason": "too few people"}
    few = group_exposure.group_table(check(tiny).exposure, AGE).rows
    assert few == [[Cell("all ages"), Cell("10"), Cell("10"), Cell("n/a", "too few people"), Cell("n/a")]]


def test_groups_are_judged_as_the_verdict_judges_all(examples: Examples) -> None:
    """Without strata, the groups of a confounded audit would repeat what sets the sides apart."""
    confounded = examples["confounded"]
    aucs = [group.auc for group in confounded.exposure.groups if group.auc]
    assert aucs and all(auc.low < 0.5 for auc in aucs)
    assert all(group.accuracy is None for group in confounded.exposure.groups)
    section = group_exposure.data(confounded)
    assert section.within_strata and not section.caution
    assert all(auc.low > 0.5 for g in examples["confounded_leak"].exposure.groups if (auc := g.auc))
    assert group_exposure.data(examples["apart"]).caution


def test_differences_carry_their_sign(leaking: dict[str, Any]) -> None:
    leaking["gains"][0]["difference"] = {"value": -0.011, "low": -0.03, "high": 0.01}
    row = attack_results.gain_table(check(leaking).gains).rows[0]
    assert [cell.text for cell in row[2:]] == ["−0.01", "−0.03 to +0.01"]


def test_errors_have_a_figure_where_a_median_is_known(examples: Examples) -> None:
    section = model_errors.data(examples["no_leak_shown"])
    assert section.figure is not None
    assert len(section.values.rows) == 2 * len(examples["no_leak_shown"].residuals.bands)
    assert model_errors.data(examples["tiny"]).figure is None


def test_the_attacker_in_words() -> None:
    facts = {"leaked": 0.5, "repeats": 5, "attacker": "outsider", "rounds": None, "known_per_side": 30}
    known = {"known_members": 30, "known_nonmembers": 31}

    def said(**changed: Any) -> str:
        threat = Threat.model_validate({"access": "outputs", **facts, **known, **changed})
        return " ".join(summary.outside_attacker(threat, AGE))

    assert "only what the model answers" in said()
    assert "30 members and 31 non-members" in said()
    assert "5 times" in said()
    assert "draws" not in said(repeats=1)
    assert "weights are published" in said(access="weights")
    assert "anyone’s membership beforehand" in said(known_members=0, known_nonmembers=0)


def test_each_party_in_words(examples: Examples) -> None:
    def said(name: str, **changed: Any) -> str:
        audit = examples[name]
        assert audit.federation is not None
        federation = audit.federation.model_copy(update=changed)
        sentences = [federation_about.about(federation, AGE)]
        sentences += summary.party_attacker(federation, audit.threat, AGE)
        return " ".join([*sentences, *summary.party_unseen(federation)])

    learner = said("learner")
    assert "4 learners trained together over 3 rounds, with 8 local epochs in each." in learner
    assert "no other learner’s own model" in learner
    assert "It knows its own people, and 16 held-out people" in learner
    assert "receives every learner’s model in every round. It follows the protocol." in said("server")
    assert "that no learner trained on, and no members." in said("server")
    active = said("server", attacker="active-server")
    assert "does not follow the protocol" in active and "simulated" in active
    hidden = said("encrypted")
    assert "sees no model at all" in hidden and "They hold the key" in hidden
    assert "the sum of the learners’ models" in said("summed")
    alone = said("server", known_nonmembers=1, local_epochs=None, environment=None, rounds=1)
    assert "1 held-out person" in alone and "over 1 round." in alone


def test_whom_a_party_knows_is_what_it_knows(examples: Examples) -> None:
    """Nobody but a learner knows a member, and the number for old readers says so too."""
    for name in ("server", "summed", "encrypted"):
        threat = examples[name].threat
        assert (threat.known_members, threat.known_nonmembers, threat.known_per_side) == (0, 16, 0)
    assert examples["learner"].threat.known == (None, 16)
    assert examples["learner"].threat.known_per_side == 16
    assert examples["outside"].threat.known == (16, 16)


def test_what_was_not_seen_in_words(leaking: dict[str, Any]) -> None:
    leaking["not_run"] = [{"attack": "activation", "reason": "no landmark"}]
    first, *rest = summary.could_not_be_seen(check(leaking))
    assert f"below {leaking['verdict']['smallest_detectable_auc']:.2f}" in first
    assert "One attack that could not be run" in " ".join(rest)


def test_images_that_are_probably_others_are_warned_of_once(leaking: dict[str, Any]) -> None:
    assert summary.data(check(leaking)).other_images == ""
    leaking["checks"]["images"] = {"reproduced": None, "problem": "worse than stated"}
    section = summary.data(check(leaking))
    assert section.other_images == "more than was stated of its training"
    assert "because its makers’ own predictions were not given" in " ".join(section.unseen)
    leaking["verdict"]["label"] = "inconclusive"
    assert summary.data(check(leaking)).other_images == ""
    leaking["checks"]["images"] = {"reproduced": 5, "problem": None}
    section = summary.data(check(leaking))
    assert "makers" not in " ".join(section.unseen)
    assert "gives the predictions that its makers have of 5 scans" in self_checks.data(check(leaking)).images


@pytest.mark.parametrize(
    ("name", "audited"),
    [
        ("leaks", {"Query service", "Published weights"}),
        ("no_leak_shown", {"Query service"}),
        ("learner", {"Federation: other learners"}),
        ("server", {"Federation: the server"}),
        ("summed", {"Federation: sums only"}),
        ("outside", {"Query service"}),
        ("encrypted", set()),
    ],
)
def test_only_the_release_that_was_attacked_counts_as_audited(
    examples: Examples, name: str, audited: set[str]
) -> None:
    table = not_tried.context_table(examples[name])
    assert {row[0].text for row in table.rows if row[1].text == "audited"} == audited
    assert all(row[1].note.startswith("--") for row in table.rows if row[1].text == "not audited")
    federations = [row[0].text for row in table.rows if row[0].text.startswith("Federation")]
    assert len(federations) == (1 if name == "leaks" else 3)


def test_attacks_on_checkpoints_are_those_of_a_release_of_its_own(examples: Examples) -> None:
    audit = examples["leaks"]
    first, *others = audit.findings
    followed = audit.model_copy(
        update={"findings": (first.model_copy(update={"attack": "loss-series"}), *others)}
    )
    rows = {row[0].text: row[1] for row in not_tried.context_table(followed).rows}
    assert rows["Checkpoints of the training"].note == f"{len(audit.findings)} attacks"
    assert rows["Published weights"].note == f"{len(others)} attacks"
    rows = {row[0].text: row[1] for row in not_tried.context_table(audit).rows}
    assert rows["Checkpoints of the training"].text == "not audited"


def test_whether_the_strongest_attack_needs_known_people_is_said(examples: Examples) -> None:
    audit = examples["leaks"]
    fitted, unfitted = ([f for f in audit.findings if f.fitted == value] for value in (True, False))

    def said(order: list[str]) -> list[str]:
        assert audit.verdict.basis is not None
        basis = audit.verdict.basis.model_copy(update={"attack": order[0], "ranking": tuple(order)})
        verdict = audit.verdict.model_copy(update={"basis": basis})
        strongest = summary.data(audit.model_copy(update={"verdict": verdict})).strongest
        assert strongest is not None
        return strongest.caveats

    names = [[finding.attack for finding in part] for part in (unfitted, fitted)]
    assert said([*names[0], *names[1]])[0] == "It needs no known people."
    assert f"It needs known people; {names[0][0]}, which needs none" in said([*names[1], *names[0]])[0]


def test_how_many_people_can_be_named(examples: Examples) -> None:
    leaks = false_alarms.data(examples["leaks"])
    assert leaks is not None
    assert leaks.named.startswith("At 10% false alarms, the attack ")
    assert " of 60 (95% interval " in leaks.named and leaks.named.endswith("Guessing would name 10%.")
    learner = false_alarms.data(examples["learner"])
    assert learner is not None and ", about " not in learner.named
    tiny = false_alarms.data(examples["tiny"])
    assert tiny is not None and tiny.named.startswith("Too few non-members")


def test_who_chose_the_members_is_said_as_it_was(examples: Examples) -> None:
    """Of federations unlike in age, who is held out was drawn at random though learners were not."""
    assert "drawn at random by memberscan." in method_notes.chosen(examples["leaks"])
    assert "chosen by the people who" in method_notes.chosen(examples["no_leak_shown"])
    outside = examples["outside"]
    assert outside.federation is not None and outside.federation.held_out_randomised
    assert "chosen by the people who" not in method_notes.chosen(outside)
    assert "drawn at random" in method_notes.chosen(outside)
    federation = outside.federation.model_copy(update={"held_out_randomised": False})
    target = outside.target.model_copy(update={"randomised": False})
    imported = outside.model_copy(update={"federation": federation, "target": target})
    assert "chosen by the people who" in method_notes.chosen(imported)


def test_known_people_are_counted_for_an_outsider_only(examples: Examples) -> None:
    known = method_notes.data(examples["leaks"]).known
    assert known == "30 known on each side, drawn 5 times"
    assert method_notes.data(examples["learner"]).known is None


def test_columns_not_used_are_named_with_the_reason(examples: Examples) -> None:
    unused = self_checks.data(examples["no_leak_shown"]).unused
    assert unused.startswith("postcode")


def pair(auc: float, p_holm: float, **changed: Any) -> Pair:
    facts = {"attack": "error", "attacker": "learner-3", "victim": "learner-1", "members": 20}
    found = Estimate(value=auc, low=auc - 0.1, high=auc + 0.1)
    facts |= {"nonmembers": 20, "auc": found, "accuracy": None, "p_value": p_holm, "p_holm": p_holm}
    return Pair.model_validate({**facts, "reason": None, **changed})


def test_a_site_is_told_in_plain_words(merged: ConsortiumContent) -> None:
    def told(attacker: str, found: Pair) -> str:
        assert found.auc is not None
        entry: Entry = merged.entries[0].model_copy(update={"attacker": attacker})
        return site_advice.against(entry, found, found.auc)

    assert told("learner", pair(0.7, 0.01)) == (
        "Another learner, learner-3, can tell your people from others: shown one of your people and somebody "
        "else, it picks the right one 70 times in 100."
    )
    missed = told("server", pair(0.7, 0.2))
    assert missed == "The server was not shown to tell your people from others (AUC at most 0.80)."
    assert "the federation’s people" in told("aggregate", pair(0.7, 0.01, victim="all"))


def test_several_verdicts_in_one_sentence(merged: ConsortiumContent) -> None:
    one, other = merged.audits[0], merged.audits[1]
    leak: JoinedAudit = one.model_copy(update={"verdict": "leaks", "entry": merged.entries[0].name})
    small: JoinedAudit = other.model_copy(update={"verdict": "inconclusive"})
    server: Entry = merged.entries[0].model_copy(update={"attacker": "server"})

    def both(*audits: JoinedAudit) -> ConsortiumContent:
        return merged.model_copy(update={"audits": audits, "entries": (server, *merged.entries[1:])})

    said = consortium_summary.answer(both(leak, small))
    assert said == "Membership leaks to the server: this was found by 1 of 2 audits."
    assert consortium_summary.counted((leak, small)) == "leaks (1), inconclusive (1)"
    assert consortium_summary.answer(both(small)).startswith("No leak was shown by 1 audit. Each")


def test_what_secure_aggregation_leaves(merged: ConsortiumContent) -> None:
    rows = secure_comparison.comparison_table(merged.entries, merged.secure[0].entries).rows
    assert [row[1].text for row in rows] == ["every learner’s model", "ciphertexts", "sums over learners"]
    assert rows[1][2].note == "no attack could run"


@pytest.mark.parametrize(
    ("made", "part"),
    [
        (partial(federation_about.learner_table, variable=AGE), "learners"),
        (federation_about.left_out_table, "left_out"),
    ],
)
def test_each_learner_has_its_row(examples: Examples, made: Callable[..., Table], part: str) -> None:
    federation: Federation | None = examples["server"].federation
    assert federation is not None
    rows = getattr(federation, part)
    assert len(made(rows).rows) == len(rows)


def test_the_indicator_of_a_quantizer_is_beside_the_defence(examples: Examples) -> None:
    content = examples["plain"].dump()
    content["target"] |= {"defence": "quantize:bits=4"}
    fit = {"count": 8, "recipe": "mlp", "rmse_in": 1.0, "rmse_out": 2.0, "unlike": []}
    fit |= {"correlation": 0.1, "own_correlation": 0.1}
    said = "What theory says of the quantized weights."
    for quantizer in ({}, {"quantizer": {"indicator": 0.43, "low": 0.02, "compared": 8}}):
        page = render_html(check(content | {"references": fit | quantizer}).dump())
        assert (said in page) == bool(quantizer)
        assert ("is 0.43, and at least 0.02" in page and "with 8 others" in page) == bool(quantizer)
