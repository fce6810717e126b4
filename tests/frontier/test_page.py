"""The page: whole, offline, in both widths, with every point; and it never says that nothing leaks."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from memberscan.defences import DEFENCES
from memberscan.frontier.content import FrontierContent
from memberscan.frontier.page import render, shown_of
from memberscan.frontier.table import table_of

VOID = {"meta", "link", "wbr", "br", "hr", "img"}


def estimate(value: float, half: float = 0.1) -> dict[str, float]:
    return {"value": value, "low": round(value - half, 3), "high": round(value + half, 3)}


def leakage(auc: float) -> dict[str, Any]:
    rates = [{"fpr": 0.05, "value": 0.2, "low": 0.1, "high": 0.3}]
    rates.append({"fpr": 0.01, "value": None, "low": None, "high": None})
    return {"attacks": ["stacking"] * 3, "auc": estimate(auc), "rates": rates}


def point(
    name: str, family: str, error: float | None = None, auc: float = 0.7, **changes: Any
) -> dict[str, Any]:
    found = error is not None
    measured = {
        "error": estimate(error or 0.0, 0.5) if found else None,
        "error_members": estimate(1.0) if found else None,
        "everybody": leakage(auc) if found else None,
        "most_exposed": None,
        "most_exposed_reason": "fewer than 10 people" if found else None,
    }
    about = {"name": name, "family": family, "defence": None, "settings": {}, "failed": None, "verdicts": {}}
    relations = {"guarantee": None, "on_frontier": False, "dominated_by": [], "change": None}
    return {**about, **measured, **relations, **changes}


def content(*points: dict[str, Any], **changes: Any) -> FrontierContent:
    about = {
        "schema": "memberscan.frontier/1",
        "memberscan": "0.1.0",
        "model": "cnn3d",
        "cohort": "c",
        "synthetic": False,
        "variable": {"name": "age", "unit": "years", "classes": [], "step": 0.1},
        "seeds": 3,
        "members": 90,
        "nonmembers": 100,
        "validation": 10,
        "references": 8,
        "attacker": "outsider",
        "access": "outputs",
        "federation": None,
        "attacks": ["stacking", "error:zero-knowledge"],
        "smallest_cell": 10,
        "constant_error": 9.0,
    }
    return FrontierContent.model_validate({**about, "points": list(points), **changes})


DOMINATED = {"point": "8 epochs", "family": "early stopping", "certain": True}
GUARANTEE = {"statement": "epsilon 8", "enforced_by": "whoever trains", "epsilon": 8.0, "delta": 1e-5}
EXAMPLE = content(
    point("undefended", "undefended", 4.0, 0.9),
    point("8 epochs", "early stopping", 4.2, 0.6, on_frontier=True, most_exposed=leakage(0.8)),
    point("dp-sgd:epsilon=8", "dp-sgd", 20.0, 0.52, guarantee=GUARANTEE, on_frontier=True),
    point("<b>&$x$", "noise", 5.0, 0.7, dominated_by=[DOMINATED],
          change={"error_difference": estimate(1.0), "auc_difference": estimate(-0.2)}),
    point("broken", "broken", failed="RuntimeError: no"),
)  # fmt: skip


class Checked(HTMLParser):
    """Complains about tags that do not match, and collects text and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.links += [str(given["href"])] if tag == "a" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_page_is_whole_offline_and_has_every_point() -> None:
    page = render(EXAMPLE)
    assert page == render(EXAMPLE)
    checked = Checked(page)
    assert len(checked.ids) == len(set(checked.ids))
    assert {link.removeprefix("#") for link in checked.links} <= set(checked.ids)
    assert not re.search(r"https?://(?!www\.w3\.org)", page) and "<script" not in page
    for one in EXAMPLE.points:
        assert one.name in checked.text
    assert "RuntimeError: no" in checked.text and "epsilon 8" in checked.text
    assert "<b>&$x$" not in page


def test_the_page_says_what_its_numbers_rest_on_and_promises_nothing() -> None:
    text = Checked(render(EXAMPLE)).text
    for said in (
        "90 members and 100 non-members",
        "3 seeds each",
        "8 reference models for each point and seed, trained with its defence",
        "95% intervals over seeds and people",
        "stacking and error:zero-knowledge",
        "The interval of 8 epochs and dp-sgd:epsilon=8 includes chance. That is not evidence of no leakage",
        "8 epochs (certain)",
        "Early stopping has no more error and no more leakage than 1 of the 2",
        "An attack that fails does not prove that nothing leaks",
    ):
        assert said in text, said
    assert not re.search(r"\b(safe|secure|anonymous)", text, re.IGNORECASE)


def test_of_students_it_says_whose_privacy_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("distillation", "Distillation"), ("teachers", "Teachers")):
        monkeypatch.setitem(DEFENCES, name, f"memberscan.defences.{name}:{kind}")
    drawn = [("a", "distillation"), ("b", "teachers:epsilon=8+quantize"), ("c", "prune")]
    points = [point(name, "some", 5.0, defence=text, on_frontier=True) for name, text in drawn]
    said = "a and b: these models were trained on the scans of the 10 people held out"
    assert said in Checked(render(content(*points))).text
    assert "held out. What" not in Checked(render(EXAMPLE)).text


def test_with_one_seed_it_says_that_intervals_are_over_people_only() -> None:
    text = Checked(render(content(point("undefended", "undefended", 4.0, on_frontier=True), seeds=1))).text
    assert "over people only" in text and "may look stronger than it is by luck" in text
    assert "No early stopping was measured" in text


def test_a_frontier_of_failed_points_has_a_page_and_a_table() -> None:
    failed = content(point("broken", "broken", failed="no"), synthetic=True)
    assert shown_of(failed).figure is None
    text = Checked(render(failed)).text
    assert "No point could be measured." in text and "Synthetic data." in text
    assert table_of(failed)["failed"].tolist() == ["no"]


@pytest.mark.parametrize("column", ["auc", "auc_low", "error", "tpr_at_5", "exposed_auc", "epsilon"])
def test_the_table_has_one_row_for_each_point_and_empty_cells_for_what_was_not_measured(column: str) -> None:
    table = table_of(EXAMPLE)
    assert table["point"].tolist() == [one.name for one in EXAMPLE.points]
    assert table[column].isna().iloc[-1] and table[column].notna().any()
