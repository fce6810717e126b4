"""The strongest attack is the one that the verdict rests on, wherever it is named."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from memberscan.errors import AuditFileError
from memberscan.report import AuditContent, check, consortium, ranking, render_html, terminal_table
from memberscan.report.sections import attack_results, false_alarms, summary

from .conftest import EXAMPLES

Examples = dict[str, AuditContent]


def test_sentence_page_terminal_and_exposure_name_one_attack(audit: AuditContent) -> None:
    basis = ranking.basis(audit)
    assert basis.attack == audit.exposure.attack
    assert [finding.attack for finding in ranking.ranked(audit)] == list(basis.ranking)
    if basis.attack is None:
        assert audit.findings == ()
        return
    first = summary.data(audit).strongest
    alarms = false_alarms.data(audit)
    assert alarms is not None
    table = attack_results.attack_table(audit)
    assert alarms.strongest == table.rows[0][0].text == basis.attack
    assert (first is not None) == (audit.verdict.label == "leaks")
    if first is not None:
        assert first.attack == basis.attack
        assert f"attack {basis.attack} ranks" in audit.verdict.sentence
    assert consortium({"a": audit}).entries[0].findings[0].attack == basis.attack


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_leak_is_never_said_to_be_not_shown(name: str, examples: Examples, pages: dict[str, str]) -> None:
    """Below thirty a side p-values decide, and a simultaneous bound may lie on the other side of chance."""
    audit, page = examples[name], pages[name]
    label = audit.verdict.label
    assert (label == "leaks") == bool(ranking.basis(audit).shown)
    if label == "leaks":
        assert "was shown to do better than chance" not in page
        assert "None of them is shown to succeed" not in page
    elif audit.findings:
        assert "None of them is shown to succeed" in page


def test_each_rule_is_told_by_its_own_numbers(examples: Examples, pages: dict[str, str]) -> None:
    rules = {name: ranking.basis(audit).rule for name, audit in examples.items()}
    assert rules["leaks"] == rules["no_leak_shown"] == "simultaneous bound"
    # By chance its sides differ a little (p of .03), which is looked into and is no answer.
    assert rules["inconclusive"] == "within strata" and "two sides may differ" in pages["inconclusive"]
    assert rules["small_leak"] == rules["tiny"] == rules["plain"] == "permutation"
    assert rules["confounded"] == rules["confounded_leak"] == rules["server"] == "within strata"
    assert rules["apart"] == rules["encrypted"] == "none"
    small, large = examples["small_leak"], examples["leaks"]
    assert "p-value" in shown({"a": small}) and "At least" not in shown({"a": small})
    assert "At least, 99%" in shown({"a": large})
    assert "The verdict uses it where fewer than 30 people are scored on a side" in pages["small_leak"]
    assert "permutation p &lt; 0.001 over all attacks together" in pages["small_leak"]
    assert "is evidence of a leak, because" in pages["apart"]
    for name, audit in examples.items():
        basis, best = ranking.basis(audit), ranking.strongest(audit)
        if best is None:
            continue
        bound = ranking.judged_auc(audit, best).simultaneous.low
        assert basis.bound == (bound if rules[name] in ("simultaneous bound", "within strata") else None)
        assert basis.p_value == (best.p_value if rules[name] == "permutation" else None)


def shown(audits: Examples) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(terminal_table(audits))
    return capture.get()


def test_the_basis_of_early_versions_is_worked_out_by_their_rule(audit: AuditContent) -> None:
    content = audit.dump()
    del content["verdict"]["basis"]
    early, now = ranking.basis(check(content)), ranking.basis(audit)
    assert (early.rule, early.bound, early.p_value) == (now.rule, now.bound, now.p_value)
    # Rounded numbers may tie, so that only the first, which the exposure names, is in its place.
    assert early.attack == now.attack
    assert set(early.ranking) == set(now.ranking)
    assert set(early.shown) == set(now.shown)


def test_a_page_of_an_early_version_is_as_it_is_now(examples: Examples, pages: dict[str, str]) -> None:
    content = examples["small_leak"].dump()
    del content["verdict"]["basis"]
    assert render_html(content) == pages["small_leak"]


@pytest.mark.parametrize("ranking_", [[], ["error"], ["nothing", "else"]])
def test_a_ranking_of_other_attacks_is_refused(leaking: dict[str, Any], ranking_: list[str]) -> None:
    leaking["verdict"]["basis"]["ranking"] = ranking_
    for show in (render_html, lambda audit: terminal_table({"a": audit})):
        with pytest.raises(AuditFileError, match=r"verdict\.basis\.ranking does not name each attack"):
            show(leaking)


def test_the_runner_up_sees_something_else(examples: Examples) -> None:
    best, second = (f(examples["leaks"]) for f in (ranking.strongest, ranking.runner_up))
    assert best is not None and second is not None
    assert best.access != second.access
    assert ranking.runner_up(examples["no_leak_shown"]) is None
