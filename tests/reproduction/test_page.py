"""The page: whole, offline, with every claim and its outcome; and it never says that nothing leaks."""

from __future__ import annotations

import re

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.reproduction import ReproductionContent, paper
from memberscan.reproduction.collect import collect
from memberscan.reproduction.page import answer, render, shown_of
from memberscan.reproduction.table import table_of
from memberscan.reproduction.tasks import Cell, Shared
from memberscan.training import TrainingConfig

from ..frontier.test_page import Checked
from .conftest import central_audit, federated_audit


def content_of(cohort: Cohort, length: float = 1.0, draws: int = 2) -> ReproductionContent:
    """Return the content of a reproduction of which one federation failed."""
    shared = Shared(
        cohort.path, 0.5, 0.0, 0.2, 8, length, {"dropout": 0.0}, TrainingConfig(learning_rate=1e-4)
    )
    audits = {Cell(model): [central_audit(0.7)] * draws for model in paper.MODELS}
    for k, epochs in enumerate((12, 25, 50)):
        audits[Cell("cnn3d", None, epochs)] = [central_audit(0.5 + k / 20, errors=(8.0 - k, 8.0))] * draws
    for environment in ("uniform-iid", "skewed-iid"):
        audits[Cell("slice-mean", environment)] = [federated_audit("slice-mean", half=0.05)]
    audits[Cell("cnn3d", "skewed-noniid")] = [federated_audit("cnn3d", told=4)]
    failed = {(Cell("cnn3d", "uniform-iid"), 1): "RuntimeError: <b>no"}
    return collect(audits, failed, cohort, shared, (draws, 1))


@pytest.fixture(scope="module")
def content(volumes: Cohort) -> ReproductionContent:
    return content_of(volumes)


def test_the_page_is_whole_offline_and_has_every_claim(content: ReproductionContent) -> None:
    page = render(content)
    assert page == render(content)
    checked = Checked(page)
    assert len(checked.ids) == len(set(checked.ids))
    assert {link.removeprefix("#") for link in checked.links} <= set(checked.ids)
    assert not re.search(r"https?://(?!www\.w3\.org)", page) and "<script" not in page and "<b>no" not in page
    for claim in content.claims:
        assert claim.claim in checked.text and claim.rule in checked.text
    assert checked.text.count("cannot be judged") > 5 and "RuntimeError: <b>no" in checked.text


def test_the_page_says_what_its_numbers_rest_on_and_promises_nothing(content: ReproductionContent) -> None:
    text = Checked(render(content)).text
    for said in (
        "26 people; 2 draws of 13 members and 13 non-members in one place",
        "Synthetic data.",
        "The paper had 10,446 people and this cohort has 26",
        "covariates alone, such as age, tell the people of 4 learners",
        "which says nothing against it",
        "There was one draw of each federation: those intervals are for other people",
        "A claim that disagrees here may hold there",
        "uniform-iid in the paper",
    ):
        assert said in text, said
    assert not re.search(r"\b(safe|secure|anonymous)\b", text, re.IGNORECASE)
    assert "epochs and rounds. Leakage grows" not in text


def test_the_answer_counts_the_outcomes(content: ReproductionContent) -> None:
    counts = [int(n) for n in re.findall(r"\d+", answer(content))]
    outcomes = [claim.outcome for claim in content.claims]
    naive = [sum(o == name for o in outcomes) for name in ("agrees", "disagrees", "cannot be judged")]
    assert counts == [len(outcomes), *naive] and min(naive[0], naive[2]) > 0


def test_a_short_reproduction_of_one_draw_says_so(volumes: Cohort) -> None:
    text = Checked(render(content_of(volumes, length=0.2, draws=1))).text
    assert "Trainings had 20% of the paper’s epochs and rounds" in text
    assert "There was one draw of members and each federation: those intervals are for other people" in text
    assert "These settings are not the paper’s: grid, dropout, epochs in one place," in text
    assert "one draw has no interval over draws" in text


def test_where_nothing_was_measured_there_is_a_page_and_a_table(volumes: Cohort) -> None:
    shared = Shared(volumes.path, 0.5, 0.1, 0.2, 8, 1.0, {}, TrainingConfig())
    failed = {(Cell("cnn3d"), 1): "no"}
    nothing = collect({}, failed, volumes, shared, (1, 1))
    shown = shown_of(nothing)
    assert shown.central is shown.overfitting is shown.lengths is None and not shown.figures
    text = Checked(render(nothing)).text
    assert "No model was measured." in text and "the models’ own" in text
    assert set(table_of(nothing)["part"]) == {"federated", "claim"}
    assert {claim.outcome for claim in nothing.claims} == {"cannot be judged"}


def test_the_table_has_all_figures_of_the_page(content: ReproductionContent) -> None:
    table = table_of(content)
    parts = dict(iter(table.groupby("part")))
    assert len(parts["central"]) == 2 * len(content.central)
    assert len(parts["length"]) == 3 * len(content.lengths)
    rounds = parts["federated"]
    failed = rounds["reason"].notna()
    assert rounds.loc[failed, "reason"].str.contains("no|not measured").all()
    measured = rounds[~failed]
    black = measured[measured["attack"] == paper.BLACK_BOX]
    assert len(black) == sum(len(curve.rounds) for curve in content.curves)
    white = measured[measured["attack"] == paper.WHITE_BOX]
    assert white["value"].tolist() == [c.white_box.value for c in content.curves if c.white_box]
    told = measured[measured["measure"] == "learners told without the model"]
    assert told["value"].tolist() == [curve.told_blind for curve in content.curves if not curve.failed]
    assert len(measured) == len(black) + len(white) + len(told)
    values = parts["claim"]["value"].to_numpy(float)
    given = [np.nan if claim.found is None else claim.found.value for claim in content.claims]
    np.testing.assert_array_equal(values, given)
