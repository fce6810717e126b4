"""The page is whole, offline, honest, accessible, and the same bytes for the same audit."""

from __future__ import annotations

import copy
import itertools
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from memberscan.errors import AuditFileError
from memberscan.report import AuditContent, ranking, render_html, words

from .conftest import EXAMPLES

VOID = {"meta", "link", "wbr", "br", "hr", "img"}


class Page(HTMLParser):
    """Collects elements with their ancestors, and complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs, _ in self.elements if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(params=[*EXAMPLES, "consortium"])
def html(request: pytest.FixtureRequest, pages: dict[str, str]) -> str:
    """The page of each example in turn."""
    return pages[request.param]


def test_the_same_audit_gives_the_same_bytes(leaking: dict[str, Any], pages: dict[str, str]) -> None:
    before = copy.deepcopy(leaking)
    assert render_html(leaking) == pages["leaks"]
    assert leaking == before


def test_another_process_gives_the_same_bytes(
    leaking: dict[str, Any], pages: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "audit.json").write_text(json.dumps(leaking))
    code = (
        "import json, sys; from memberscan.report import render_consortium, render_html; "
        "sys.stdout.buffer.write(render_html(json.load(open(sys.argv[1]))).encode()); "
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "audit.json")]
    environment = os.environ | {"PYTHONHASHSEED": "7", "MPLBACKEND": "svg"}
    result = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert result.stdout.decode() == pages["leaks"]


def test_structure(html: str) -> None:
    page = Page(html)
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in ids
    tables = page.all("table")
    assert len(page.all("caption")) == len(tables) > 0
    assert all(cell.get("scope") in ("col", "row", "colgroup") for cell in page.all("th"))
    assert len(page.all("figcaption")) == len(page.all("figure"))
    for figure in page.all("svg"):
        assert figure["role"] == "img"
        assert all(name in ids for name in (figure["aria-labelledby"] or "").split())


def test_nothing_is_fetched_or_run(html: str) -> None:
    page = Page(html)
    assert page.all("script") == []
    assert not any(name.startswith("on") for _, attrs, _ in page.elements for name in attrs)
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert {link["href"] for link in page.all("link")} == {"data:,"}


def test_variables_are_defined_and_no_stand_in_colour_is_left(html: str) -> None:
    assert set(re.findall(r"var\((--[a-z]+)\)", html)) <= set(re.findall(r"(--[a-z]+):", html))
    assert "#0102" not in html


def test_the_first_screen_says_what_matters(examples: dict[str, AuditContent], pages: dict[str, str]) -> None:
    audit, text = examples["leaks"], pages["leaks"]
    best = ranking.strongest(audit)
    assert best is not None
    first = Page(text[text.index("<header") : text.index("</header>") + len("</header>")]).text
    assert audit.verdict.sentence.partition(". ")[0] in first
    auc, low = words.fraction(best.auc.value), words.at_least(best.auc.simultaneous.low)
    assert f"{auc} AUC, at least {low} with 99% confidence" in first
    assert f"picks the member {words.in_hundred(best.auc.value)}" in first
    assert "30 members and 30 non-members" in first
    assert f"below {words.detectable(audit.verdict.smallest_detectable_auc)}" in first
    assert "for this trained model" in first


def test_the_smallest_detectable_auc_reads_the_same_everywhere(
    examples: dict[str, AuditContent], pages: dict[str, str]
) -> None:
    """Also where an early version wrote it to audit.json with all its digits, and up in the sentence."""
    early = examples["inconclusive"].dump()
    early["verdict"]["smallest_detectable_auc"] -= 0.0088
    every = {**pages, "early": render_html(early)}
    del every["consortium"]
    for name, html in every.items():
        text = Page(html).text
        said = re.findall(r"an AUC of (\d\.\d+) \(chance is 0\.50\)", text)
        said += re.findall(r"leak with an AUC below (\d\.\d+)\. With", text)
        said += re.findall(r"detectable with 80% power \(here (\d\.\d+)\)", text)
        assert len(said) >= 2 or name == "encrypted", name
        assert len(set(said)) == 1, (name, said)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_sentence_and_the_page_write_one_number_in_one_way(
    name: str, examples: dict[str, AuditContent], pages: dict[str, str]
) -> None:
    audit, text = examples[name], Page(pages[name]).text
    if audit.verdict.label != "leaks":
        return
    pairs = re.search(r"in ([\d.]+)% of pairs", audit.verdict.sentence)
    assert pairs is not None
    headline = re.search(r"([\d.]+) AUC, (?:at least ([\d.]+) with)?", text)
    assert headline is not None
    assert float(pairs[1]) == pytest.approx(100 * float(headline[1]))
    bound = re.search(r"at least ([\d.]+)% with", audit.verdict.sentence)
    assert (bound is None) == (headline[2] is None)
    if bound is not None:
        assert float(bound[1]) == pytest.approx(100 * float(headline[2]))


def test_no_verdict_promises_safety(html: str) -> None:
    text = Page(html).text.lower()
    assert not re.search(r"\bsafe", text)
    assert "anonymous" not in text


def test_below_chance_is_not_sold_as_a_finding(pages: dict[str, str]) -> None:
    assert "was shown to do better than chance" in pages["no_leak_shown"]
    assert "was shown to do better than chance" not in pages["leaks"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_large_number_stands_only_where_the_verdict_rests_on_it(
    name: str, examples: dict[str, AuditContent], pages: dict[str, str]
) -> None:
    assert ('class="headline"' in pages[name]) == (examples[name].verdict.label == "leaks")


def test_synthetic_data_are_named(examples: dict[str, AuditContent], pages: dict[str, str]) -> None:
    target = examples["tiny"].target.model_copy(update={"synthetic": True})
    assert "Synthetic data." in render_html(examples["tiny"].model_copy(update={"target": target}))
    assert "Synthetic data." not in pages["tiny"]


def test_confounding_is_explained_where_it_matters(
    examples: dict[str, AuditContent], pages: dict[str, str]
) -> None:
    text, matched = Page(pages["confounded"]).text, examples["confounded"].checks.blind.matched
    assert matched is not None
    assert "have nothing to do with the model, most of all by age" in text
    assert f"{matched.members} members and {matched.nonmembers} non-members can be audited again" in text
    # Groups are judged within strata as the verdict is, rates at few false alarms are not.
    assert text.count("Not adjusted for covariates:") == 1
    assert "is evidence of a leak, because" in text
    assert "predictions file shows outputs only" in text


def test_where_sides_overlap_both_results_are_given_and_the_one_that_counts_is_named(
    examples: dict[str, AuditContent], pages: dict[str, str]
) -> None:
    audit, text = examples["differing"], Page(pages["differing"]).text
    best = ranking.strongest(audit)
    assert best is not None and best.within_strata is not None and audit.checks.blind.overlap is not None
    assert words.overlap(audit.checks.blind.overlap) in text
    crude, alike = (words.fraction(auc.value) for auc in (best.auc, best.within_strata.auc))
    assert f"reaches an AUC of {crude} (at least " in text and f"and of {alike} (at least " in text
    assert "The verdict uses the second" in text
    assert "about people who are alike in the covariates" in text
    assert "the two sides do not overlap enough" in Page(pages["confounded"]).text
    assert "have people alike on the other side" not in Page(pages["no_leak_shown"]).text


def test_what_would_explain_a_finding_is_said_where_members_were_chosen(
    examples: dict[str, AuditContent], pages: dict[str, str]
) -> None:
    audit = examples["confounded_leak"]
    hidden, basis = audit.verdict.hidden_difference, ranking.basis(audit)
    assert hidden is not None and basis.bound is not None
    # From the published bound, so that it says nothing more about people.
    assert hidden.two_kinds == pytest.approx(2 * basis.bound - 1, abs=1e-3)
    assert words.hidden_difference(audit.verdict) in Page(pages["confounded_leak"]).text
    # Members drawn at random; decided by p-values; nothing shown.
    for name in ("leaks", "small_leak", "no_leak_shown", "confounded"):
        assert examples[name].verdict.hidden_difference is None
        assert "A hidden difference" not in pages[name]


def test_chance_imbalance_decides_nothing(leaking: dict[str, Any]) -> None:
    leaking["checks"]["blind"] |= {"tripped": True, "gates": False, "auc": 0.57, "p_value": 0.0004}
    text = Page(render_html(leaking)).text
    assert "the difference is due to chance and is not confounding" in text
    assert "permutation p < 0.001" in text
    assert "Not adjusted for covariates:" not in text


def test_what_could_not_be_computed_is_said(pages: dict[str, str]) -> None:
    text = Page(pages["tiny"]).text
    assert "needs 3,000 non-members scored in one draw; there are 5" in text
    assert "How often an accusation is right" not in text
    text = Page(pages["no_leak_shown"]).text
    assert "known in closed form" in text
    assert "Columns not used as covariates: postcode" in text


def test_what_was_not_looked_at_is_said(leaking: dict[str, Any]) -> None:
    blind = {"auc": None, "p_value": None, "covariates": [], "worst": None, "ignored": []}
    leaking["checks"]["blind"] |= blind
    leaking["exposure"]["groups"] = []
    text = Page(render_html(leaking)).text
    assert "no usable covariate was given" in text
    assert "No group was large enough" in text
    assert "Columns not used" not in text


def test_an_audit_without_findings_still_renders(leaking: dict[str, Any]) -> None:
    leaking["findings"], leaking["gains"], leaking["residuals"] = [], [], {"bands": []}
    leaking["verdict"]["basis"] |= {"rule": "none", "attack": None, "ranking": [], "shown": []}
    leaking["not_run"] = [{"attack": "error", "reason": "NaN predictions"}]
    text = Page(render_html(leaking)).text
    assert "No attack could be run" in text
    assert "NaN predictions" in text


def test_text_is_escaped(leaking: dict[str, Any]) -> None:
    leaking["target"]["model"] = "<script>alert(1)</script>"
    leaking["findings"][0]["attack"] = "a+<b>&"
    del leaking["verdict"]["basis"]
    leaking["verdict"]["sentence"] = '1 < 2 & "so"'
    text = render_html(leaking)
    assert "<script" not in text
    assert "<b>&" not in text
    assert '1 < 2 & "so"' in Page(text).text


def test_values_follow_details_so_that_they_can_be_printed(pages: dict[str, str]) -> None:
    text = pages["leaks"]
    assert text.count("<details>") >= 5
    assert len(re.findall(r'</details>\s*<div class="values">', text)) == text.count("<details>")


def test_a_broken_audit_is_refused(leaking: dict[str, Any]) -> None:
    del leaking["verdict"]
    with pytest.raises(AuditFileError, match="verdict"):
        render_html(leaking)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_contrast_in_both_modes(mode: int) -> None:
    style = resources.files("memberscan.report").joinpath("templates/style.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[mode]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for name in colours.keys() - {"paper", "rule", "shade"}:
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    assert contrast(colours["muted"], colours["shade"]) >= 4.5
    assert colours["rule"] != colours["paper"]


def test_the_audit_of_a_party_says_who_learns_about_whom(pages: dict[str, str]) -> None:
    page = Page(pages["learner"])
    assert "It is one of the 4 learners" in page.text
    assert "The attack error succeeds in" in page.text
    assert "No learner was left out of any round." in page.text
    assert {"pairs", "rounds", "federation"} <= {a.get("id") for a in page.all("section")}
    squares = [td for td in page.all("td") if re.match(r"s\d", td.get("class") or "")]
    assert len(squares) == 12
    assert sum(td.get("class") == "own" for td in page.all("td")) == 4


def test_a_pair_that_was_not_judged_is_hatched_and_a_learner_left_out_named(
    examples: dict[str, AuditContent],
) -> None:
    content = examples["server"].dump()
    content["federation"]["left_out"] = [{"round": 2, "learner": "learner-2", "reason": "sent NaN"}]
    for pair in content["federation"]["pairs"]:
        if pair["victim"] == "learner-2":
            pair |= dict.fromkeys(("auc", "accuracy", "p_value", "p_holm")) | {"reason": "too few"}
    page = Page(render_html(content))
    assert "sent NaN" in page.text
    assert sum(td.get("class") == "hatched" for td in page.all("td")) == 1
    assert "1 pair could not be judged" in page.text.lower()


def test_the_audit_of_a_server_names_what_may_mislead(pages: dict[str, str]) -> None:
    text = Page(pages["server"]).text
    assert "learner-1: these people can be told from those held out with an AUC of" in text
    assert "the models are" in text or "the models tell" in text
    assert "What the server must hold" in text


def test_a_server_that_sees_nothing_is_no_all_clear(pages: dict[str, str]) -> None:
    page = Page(pages["encrypted"])
    assert "sees no model at all" in page.text
    assert "Any leak, because no attack could be run." in page.text
    assert "No attack ran, so there was nothing to shuffle." in page.text
    assert "unknown times" not in page.text
    assert {a.get("id") for a in page.all("section")}.isdisjoint({"pairs", "rounds", "alarms"})


def test_an_outsider_of_a_federation_is_told_which(pages: dict[str, str]) -> None:
    text = Page(pages["outside"]).text
    assert "It sees only what the model answers" in text
    assert "4 learners trained together over 3 rounds" in text


def test_sides_that_differ_without_strata_prove_nothing(pages: dict[str, str]) -> None:
    text = Page(pages["apart"]).text
    assert "No attack was judged among people who are alike in this respect" in text
    assert "AUC within strata" not in text
    assert text.count("Not adjusted for covariates:") == 2


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_the_scale_of_the_grid_is_even_and_monotone(mode: int) -> None:
    style = resources.files("memberscan.report").joinpath("templates/grid.css").read_text()
    block = re.findall(r"\.grid \{ (--s0.*?)\}", style)[mode]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    lightness = [luminance(colours[f"s{k}"]) ** (1 / 3) for k in range(7)]
    steps = [(after - before) * (1 if mode else -1) for before, after in itertools.pairwise(lightness)]
    assert min(steps) > 0.04
    assert max(steps) < 4 * min(steps)
    for k in range(7):
        assert contrast(colours[f"s{k}"], colours["low" if k < 4 else "high"]) >= 4.5


def test_rounds_that_were_not_looked_at_are_said(
    examples: dict[str, AuditContent], pages: dict[str, str]
) -> None:
    threat = examples["server"].threat.model_copy(update={"rounds": 2})
    page = render_html(examples["server"].model_copy(update={"threat": threat}))
    assert "It looks at 2 rounds only" in Page(page).text
    assert "It looks at" not in Page(pages["server"]).text
