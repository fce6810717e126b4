"""Figures must follow the page, and be the same bytes wherever they are drawn."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET

import matplotlib
import pytest
from matplotlib.figure import Figure

from memberscan.report import AuditContent, svg
from memberscan.report.content.audit_json import Quantiles
from memberscan.report.content.finding_json import Roc
from memberscan.report.drawings import NARROW, WIDE
from memberscan.report.sections import attack_results, false_alarms, group_exposure, model_errors, summary


def paint(figure: Figure) -> None:
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 5, 1], "o-", color=svg.MEMBER, clip_on=True)
    axes.set_xlabel("a < b & c")


def test_colours_become_variables() -> None:
    text = svg.draw("one", 300, 200, "A title", "It shows < 3 & more.", paint)
    assert "var(--member)" in text
    assert "var(--rule)" in text
    assert not re.search(r"#[0-9a-f]{6}\b", text)
    assert "font-family" not in text


def test_it_is_described_and_well_formed() -> None:
    root = ET.fromstring(svg.draw("one", 300, 200, "A title", "It shows < 3 & more.", paint))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "one-title one-desc"
    assert [e.tag for e in root[:2]] == ["title", "desc"]
    assert root[1].text == "It shows < 3 & more."
    assert root.attrib["viewBox"] == "0 0 300 200"
    texts = ["".join(e.itertext()) for e in root.iter("text")]
    assert "a < b & c" in texts


def test_references_resolve_and_ids_are_prefixed() -> None:
    text = str(svg.draw("one", 300, 200, "t", "d", paint))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(i.startswith("one-") for i in ids)
    referred = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
    assert referred
    assert set(referred) <= set(ids)


def test_no_style_leaks_into_the_page() -> None:
    assert "<style" not in svg.draw("one", 300, 200, "t", "d", paint)


def test_configuration_of_the_user_changes_nothing() -> None:
    before = svg.draw("one", 300, 200, "t", "d", paint)
    with matplotlib.rc_context(
        {"font.size": 30, "svg.fonttype": "path", "axes.grid": True, "lines.linewidth": 9}
    ):
        assert svg.draw("one", 300, 200, "t", "d", paint) == before
        assert matplotlib.rcParams["font.size"] == 30
    assert "matplotlib.pyplot" not in sys.modules or not matplotlib._pylab_helpers.Gcf.figs


@pytest.mark.parametrize("auc", [0.0, 0.47, 0.5, 0.641, 0.999, 1.0])
def test_a_hundred_pairs(auc: float) -> None:
    text = str(summary.pairs(auc))
    assert text.count("<use ") == 100
    assert f"in {round(100 * auc)} of 100 pairs" in text
    assert text.count("var(--tone)") > 0 or auc <= 0.5


def test_figures_are_drawn_for_page_and_phone(audit: AuditContent) -> None:
    sections = (attack_results.data(audit), false_alarms.data(audit), group_exposure.data(audit))
    drawings = [section.figure for section in (*sections, model_errors.data(audit)) if section]
    assert any(drawings)
    for drawing in filter(None, drawings):
        for text, width in ((drawing.wide, WIDE), (drawing.narrow, NARROW)):
            view = [float(x) for x in ET.fromstring(text).attrib["viewBox"].split()]
            assert view[2] == width
            for label in ET.fromstring(text).iter("text"):
                assert -1 <= float(label.attrib.get("x", 0)) <= width + 1


def test_curves_stay_inside_what_was_scored(examples: dict[str, AuditContent]) -> None:
    flat = {"roc": Roc(fpr=(0.0, 0.5, 1.0), tpr=(0.0, 0.0, 1.0))}
    audit = examples["leaks"]
    findings = tuple(finding.model_copy(update=flat) for finding in audit.findings)
    drawing = false_alarms.draw(audit.model_copy(update={"findings": findings}))
    assert "nan" not in drawing.wide.lower()


def test_a_bar_of_quantiles_is_no_longer_than_they_are_apart() -> None:
    figure = Figure()
    axes = figure.subplots()
    group = Quantiles(n=70, q10=None, q25=0.0, q50=0.0, q75=0.0, q90=None)
    model_errors._quantiles(axes, 0, group, "black", "o", 60)
    bar = next(line for line in axes.lines if line.get_linewidth() == 60)
    assert bar.get_solid_capstyle() == "butt"
