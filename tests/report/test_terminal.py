"""The terminal shows the same verdicts and numbers as the page, in eighty columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from memberscan.errors import AuditFileError
from memberscan.report import AuditContent, ranking, render_html, terminal_table, words


def shown(audits: Mapping[str, Any], width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(terminal_table(audits))
    return capture.get()


def test_several_audits_in_eighty_columns(examples: dict[str, AuditContent]) -> None:
    phantom = examples["tiny"].target.model_copy(update={"synthetic": True})
    text = shown({**examples, "phantom": examples["tiny"].model_copy(update={"target": phantom})})
    assert max(map(len, text.splitlines())) <= 80
    for label in ("LEAKS", "NO LEAK SHOWN", "INCONCLUSIVE", "CONFOUNDED"):
        assert label in text
    assert "synthetic phantom" in text
    assert "Not run: augmented-error" in text and "gradient:conv1" in text
    assert "AUC in" in text


def test_strongest_first_and_with_its_bound(examples: dict[str, AuditContent]) -> None:
    audit = examples["leaks"]
    best = ranking.strongest(audit)
    assert best is not None
    lines = shown({"mlp": audit}).splitlines()
    first = next(line for line in lines if f"  {best.access}  " in line)
    assert first.startswith(best.attack)
    assert words.fraction(best.auc.value) in first
    assert words.at_least(best.auc.simultaneous.low) in first
    assert words.span(best.auc) in first
    assert words.percent(best.accuracy.value) in first


def test_what_would_explain_a_finding_is_said(examples: dict[str, AuditContent]) -> None:
    audit = examples["confounded_leak"]
    assert words.hidden_difference(audit.verdict) in " ".join(shown({"a": audit}).split())
    assert "A hidden difference" not in shown({"a": examples["leaks"]})


def test_no_findings_no_table(leaking: dict[str, Any]) -> None:
    leaking["findings"], leaking["verdict"]["basis"]["ranking"] = [], []
    assert "Attack" not in shown({"a": leaking})


def test_markup_in_names_is_not_interpreted(leaking: dict[str, Any]) -> None:
    for value in (leaking["findings"][0], leaking["exposure"]):
        value["attack"] = "[red]x[/red]"
    del leaking["verdict"]["basis"]
    leaking["verdict"]["sentence"] = "[bold]y"
    text = shown({"[blue]z": leaking})
    assert "[red]x[/red]" in text
    assert "[bold]y" in text
    assert "[blue]z" in text


def test_a_newer_schema_is_refused(leaking: dict[str, Any]) -> None:
    leaking["schema"] = "memberscan.audit/9"
    with pytest.raises(AuditFileError, match="upgrade"):
        terminal_table({"a": leaking})


def test_columns_that_were_not_used_are_named_with_the_reason(leaking: dict[str, Any]) -> None:
    blind = leaking["checks"]["blind"]
    blind["ignored"], blind["reasons"] = ["postcode", "gap"], {"gap": "computed from age and prediction"}
    assert "Not used as covariates: postcode and gap (computed from age and prediction)." in shown(
        {"a": leaking}
    )
    blind["ignored"] = []
    assert "Not used as covariates" not in shown({"a": leaking})


def planted(audit: AuditContent, *, stated: float | None, method: str = "one run") -> dict[str, Any]:
    """Return an audit with one bound of 2.5 from canaries."""
    bound = {"scores": "weights", "method": method, "epsilon": 2.5, "ceiling": 3.0, "guesses": 20}
    broken = None if stated is None else stated < 2.5
    canaries = {"inside": 30, "outside": 30, "level": 0.95, "delta": 1e-5, "broken": broken}
    content = audit.dump()
    content["canaries"] = canaries | {"bounds": [bound | {"correct": 19, "broken": broken}]}
    said = {"statement": "Noise.", "enforced_by": "whoever trains", "epsilon": stated, "delta": 1e-5}
    content["target"] |= {} if stated is None else {"defence": "dp-sgd", "guarantee": said}
    return content


def in_one_line(audit: AuditContent | dict[str, Any]) -> str:
    return " ".join(shown({"a": audit}).split())


@pytest.mark.parametrize(
    ("stated", "method", "says"),
    [
        (1.0, "one run", "The guarantee is broken: canaries show an epsilon of at least 2.5, and the"),
        (1.0, "Gaussian", "The guarantee may be broken: canaries show an epsilon of at least 2.5, and the"),
        (1.0, "Gaussian, AUC", "The guarantee may be broken: canaries show an epsilon of at least 2.5, and"),
        (2.75, "one run", "Canaries do not contradict epsilon 2.75, which is no proof of it."),
        (8.0, "one run", "Too few canaries: they could not contradict epsilon 8."),
        (None, "one run", "Canaries show an epsilon of at least 2.5 at delta 1e-05; the training"),
    ],
)
def test_what_canaries_show_is_said(
    examples: dict[str, AuditContent], stated: float | None, method: str, says: str
) -> None:
    audit = planted(examples["tiny"], stated=stated, method=method)
    page, said = render_html(audit), in_one_line(audit)
    assert says in said and "anaries" not in in_one_line(examples["tiny"])
    for warning in ("The guarantee is broken", "The guarantee may be broken"):
        assert (warning in page) == (warning in said)


def test_an_attack_beyond_the_guarantee_is_said(examples: dict[str, AuditContent]) -> None:
    said = "more members than the guarantee allows"
    best = examples["leaks"].findings[0]
    rates = [rate.model_copy(update={"low": 0.9, "value": 0.95, "high": 1.0}) for rate in best.tpr]
    found = (best.model_copy(update={"tpr": tuple(rates)}), *examples["leaks"].findings[1:])
    audit = examples["leaks"].model_copy(update={"findings": found})
    for stated, found in ((0.01, True), (50.0, False), (None, False)):
        content = planted(audit, stated=stated)
        assert (said in in_one_line(content)) == (said in render_html(content)) == found
