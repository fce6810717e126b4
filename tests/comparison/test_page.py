"""The page of a comparison is whole and offline, and says what it does not show."""

from __future__ import annotations

from memberscan.comparison import compare
from memberscan.comparison.page import render
from memberscan.report import AuditContent

from ..dossier.made_up import changed, leaking, of_party
from ..frontier.test_page import Checked
from .conftest import Audited


def test_the_page_is_whole_offline_and_has_every_number(quiet: AuditContent, audited: Audited) -> None:
    guarantee = {"statement": "Epsilon 8.", "enforced_by": "whoever trains", "epsilon": 8.0, "delta": 1e-5}
    defended = changed(
        quiet, target={"defence": "dp-sgd:<epsilon>=8", "guarantee": guarantee, "synthetic": True}
    )
    content = compare(audited("before", leaking(quiet), shift=1.0), audited("after", defended))
    page = render(content)
    found = Checked(page)
    assert page == render(content)
    assert "<script" not in page and "http" not in page.partition("<body")[2].replace("http://www.w3.org", "")
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    for said in (
        content.answer,
        content.pairing,
        "dp-sgd:<epsilon>=8",
        "enforced by whoever trains",
        "Synthetic",
    ):
        assert said in found.text, said
    assert all(said in found.text for said in content.caveats)
    without_breaks = Checked(page.replace("<wbr>", "")).text
    assert all(finding.attack in without_breaks for finding in quiet.findings)
    assert content.first.sha256 in page and content.second.sha256 in page


def test_where_nothing_can_be_compared_it_says_so(quiet: AuditContent, audited: Audited) -> None:
    hidden = of_party(quiet, "server", visible=False)
    text = Checked(render(compare(audited("a", hidden), audited("b", hidden)))).text
    assert "They cannot be compared" in text and "No attack ran in one of the audits." in text
