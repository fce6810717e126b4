"""The page is whole and offline, says what it is not, has blanks to fill in, and prints."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from memberscan.dossier import printing
from memberscan.dossier.content import DossierContent
from memberscan.dossier.page import render
from memberscan.dossier.printing import chromium, pdf_of
from memberscan.report import AuditContent

from ..frontier.test_page import EXAMPLE as FRONTIER
from ..frontier.test_page import Checked
from .conftest import Derive
from .made_up import changed, inspection, leaking

DIGEST = "0123456789abcdef" * 4
SECTIONS = (
    "attackers", "coverage", "files", "measures", "controls", "documentation", "limits", "terms", "record",
    "integrity",
)  # fmt: skip


@pytest.fixture
def content(quiet: AuditContent, exposed: AuditContent, derived: Derive) -> DossierContent:
    """A dossier with something in every section."""
    odd = changed(
        leaking(exposed), target={"model": "<b>&$x$", "synthetic": True, "defence": "noise:scale=1"}
    )
    return derived(
        "internal", odd, inspection("leaks"), FRONTIER, name="A <release>", note="Before the board"
    )


def test_the_page_is_whole_and_offline(content: DossierContent) -> None:
    page = render(content, DIGEST)
    found = Checked(page)
    assert page == render(content, DIGEST)
    assert set(SECTIONS) <= set(found.ids) and len(set(found.ids)) == len(found.ids)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert "<script" not in page and not re.search(r"(src|href)=\"http", page)
    assert "A <release>" in found.text and "<b>&$x$" in found.text


def test_the_first_page_says_what_was_found_what_is_missing_and_what_it_is_not(
    content: DossierContent,
) -> None:
    first = Checked(render(content, DIGEST).partition("<nav")[0].partition("<main>")[2]).text
    for said in (
        "Declared context: internal.",
        content.declared.meaning,
        "A leak was found",
        content.decision.sentence,
        "This is no legal advice, and no decision.",
        "Synthetic data.",
        "Before the board",
        *content.decision.missing,
        *content.decision.options,
        *(fact.text for fact in content.decision.found),
    ):
        assert " ".join(said.split()) in first, said


def test_every_statement_of_the_content_is_on_the_page(content: DossierContent) -> None:
    text = Checked(render(content, DIGEST)).text
    for framework in content.frameworks:
        assert framework.name in text
        for element in framework.elements:
            assert element.place in text and element.blank in text
            assert all(fact.text.replace("+", "+ ") in text.replace("+", "+ ") for fact in element.facts)
    for said in (*content.limits, *(row.result for row in (*content.coverage, *content.controls))):
        assert said in text
    for each in content.inputs:
        assert each.sha256 in text and each.file in text
    assert DIGEST in text and "holds no names or ids of people" in text
    blanks = sum(len(framework.elements) for framework in content.frameworks)
    assert text.count("To be filled in by the controller:") == blanks > 15


def test_the_files_that_were_inspected_are_listed_with_their_digests(content: DossierContent) -> None:
    assert content.files is not None
    text = Checked(render(content, DIGEST)).text
    for each in content.files.released:
        assert each.file in text and each.sha256 in text
    assert any("files that were inspected are those that will be released" in said for said in content.limits)
    many = content.files.released * 40
    crowd = content.model_copy(update={"files": content.files.model_copy(update={"released": many})})
    assert "The first 60 of 80; dossier.json has all." in Checked(render(crowd, DIGEST)).text


def test_what_was_not_run_is_named_as_not_run(quiet: AuditContent, derived: Derive) -> None:
    text = Checked(render(derived("open-weights", quiet), DIGEST)).text
    assert "Not inspected." in text and "Not audited." in text and "needs enough reference models" in text
    assert "The audits state no measure that protects people" in text
    assert "Evidence is missing" in text


def test_without_chromium_there_is_no_pdf_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "chromium", lambda: None)
    assert pdf_of(b"<p>x</p>") is None


@pytest.mark.parametrize(
    "script", ["exit 1", "exit 0", 'for a; do case $a in --print-to-pdf=*) echo no > "${a#*=}";; esac; done']
)
def test_a_browser_that_fails_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    browser = tmp_path / "chromium"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert chromium() == str(browser)
    assert pdf_of(b"<p>x</p>") is None


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no chromium is installed")
def test_the_page_prints_on_a_few_sheets_of_a4(content: DossierContent) -> None:
    pdf = pdf_of(render(content, DIGEST).encode())
    assert pdf is not None
    assert 6 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 20
    # A4 is 595 x 842 points.
    assert re.search(rb"/MediaBox \[0 0 59[45][.\d]* 84[12]", pdf)
