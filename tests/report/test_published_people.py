"""What is published of how exposed people are: groups of enough people, and no number without its error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.evidence.person_exposure import PersonExposure
from memberscan.report import AuditContent, disclosure
from memberscan.report.content.exposure_json import PersonExposure as Content
from memberscan.report.outcome import PeopleFacts
from memberscan.report.published_people import person_exposure
from memberscan.report.sections.person_exposure import data, group_name

from .exposed import PEOPLE, exposure


@pytest.fixture(scope="module")
def found() -> tuple[PersonExposure, PeopleFacts]:
    return exposure(12)


def content(found: PersonExposure, facts: PeopleFacts, smallest: int = 10) -> Content:
    made = person_exposure(found, facts, smallest)
    assert made is not None
    return disclosure.published(made)


def test_without_references_nothing_is_said(found: tuple[PersonExposure, PeopleFacts]) -> None:
    assert person_exposure(None, found[1], 10) is None


def test_the_most_exposed_are_enough_people(found: tuple[PersonExposure, PeopleFacts]) -> None:
    for smallest in (5, 10, 25):
        made = content(*found, smallest)
        assert made.most_exposed.people == smallest
        assert made.most_exposed.auc and made.everybody.auc and made.median
        assert made.most_exposed.auc.value > made.everybody.auc.value > made.median - 0.05


def test_of_more_than_a_thousand_people_the_most_exposed_are_one_in_a_hundred(
    found: tuple[PersonExposure, PeopleFacts],
) -> None:
    one, facts = found
    columns = ("auc", "count", "d_prime", "q_value", "doubt")
    wide = replace(
        one,
        **{name: np.tile(getattr(one, name), 5) for name in columns},
        **{n: np.tile(getattr(one, n), (1, 5)) for n in ("true_positive_rates", "auc_without", "right")},
    )
    many = PeopleFacts(
        *(np.tile(getattr(facts, n), 5) for n in ("member", "label", "residual")), *[np.zeros(1500)] * 2
    )
    assert content(wide, many).most_exposed.people == 15


def test_few_people_without_references_cannot_be_counted(found: tuple[PersonExposure, PeopleFacts]) -> None:
    made = content(*found)
    # Two people lack references, in two age bands at most, one or both sexes.
    assert made.too_few is None and made.everybody.people is None
    counts = {by: [g.people for g in made.groups if g.by == by] for by in ("age", "sex", "site", "scans")}
    assert all(None in counts[by] for by in counts)
    many = replace(found[0], count=np.where(np.arange(PEOPLE) < 40, 0, found[0].count))
    told = content(many, found[1])
    assert told.too_few == 40 and told.everybody.people == 260


def test_small_sites_are_hidden_with_what_would_reveal_them(
    found: tuple[PersonExposure, PeopleFacts],
) -> None:
    sites = {g.group: g for g in content(*found).groups if g.by == "site"}
    assert sites["small"].auc is None and sites["small"].reason and "fewer than 10" in sites["small"].reason
    assert sum(g.auc is None for g in sites.values()) == 2
    assert [g.group for g in content(*found).groups if g.by == "scans"] == [
        "1 scan",
        "2 scans",
        "3 or more scans",
    ]


def test_groups_that_do_not_differ_are_left_out(found: tuple[PersonExposure, PeopleFacts]) -> None:
    facts = replace(found[1], sex=pd.Series(["F"] * PEOPLE), site=None, scans=np.ones(PEOPLE, dtype=int))
    assert {g.by for g in content(found[0], facts).groups} == {"age"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 15))
def test_whatever_is_given_no_group_of_few_people_is_told(
    found: tuple[PersonExposure, PeopleFacts], seed: int, smallest: int
) -> None:
    rng = np.random.default_rng(seed)
    one, facts = found
    count = np.where(rng.random(PEOPLE) < rng.choice([0.0, 0.02, 0.2]), 0, one.count)
    facts = replace(
        facts,
        member=rng.random(PEOPLE) < 0.5,
        sex=pd.Series(rng.choice(["F", "M", None], PEOPLE, p=[0.5, 0.47, 0.03])),
        site=pd.Series(rng.choice(list("abcdef"), PEOPLE, p=[0.4, 0.3, 0.2, 0.05, 0.03, 0.02])),
    )
    made = content(replace(one, count=count), facts, smallest)
    judged = count >= 2
    for group in made.groups:
        if group.auc is None:
            assert group.people is group.tpr is group.right is None
            continue
        assert group.people is None or group.people >= 2 * smallest
    for row in made.at_least:
        beyond = int((one.auc[judged] >= row.auc).sum())
        if row.share is not None and beyond:
            assert beyond >= smallest
    total = int((~judged).sum())
    assert made.too_few == (total if total == 0 or total >= smallest else None)


def test_four_references_have_no_errors_and_so_no_numbers() -> None:
    made = content(*exposure(4))
    assert made.most_exposed.auc is made.everybody.auc is made.median is made.limits is made.stability is None
    assert made.at_least == () and all(group.auc is None for group in made.groups)
    assert made.everybody.reason and "fewer than 6 reference models" in made.everybody.reason


def test_shares_of_nobody_are_told_and_of_few_hidden(found: tuple[PersonExposure, PeopleFacts]) -> None:
    shares = []
    for listed in (0, 3, 40):
        q = np.where(np.arange(PEOPLE) < listed + 2, 0.05, 0.5)
        shares.append(content(replace(found[0], q_value=q), found[1]).listed.share)
    assert shares[0] == 0 and shares[1] is None and shares[2] == pytest.approx(40 / 298, abs=0.02)


def test_the_page_leads_with_the_most_exposed(examples: dict[str, AuditContent]) -> None:
    section = data(examples["exposed"])
    assert section is not None and section.figure is not None and section.values is not None
    assert section.lead.startswith(
        "Asked whether a model was trained on one of the 10 most exposed people, an "
    )
    assert "Guessing is right 50 times in 100." in section.lead
    rows = [row[0].text for row in section.values.rows]
    assert rows[:2] == ["the most exposed", "everybody"]
    assert rows[2].startswith("under ") and rows[2].endswith(" years")
    assert section.distribution is not None
    assert [cell.text for cell in section.distribution.rows[0]][-1] == "fewer than 10"
    few = data(examples["few_references"])
    assert few is not None and few.figure is few.values is few.distribution is None
    assert few.lead.startswith("How exposed people are is not said: there are fewer than 6 reference models")
    assert data(examples["differing"]) is None


def test_groups_are_named_in_plain_words(examples: dict[str, AuditContent]) -> None:
    found = examples["exposed"].person_exposure
    assert found is not None
    names = [group_name(group, examples["exposed"].target.variable) for group in found.groups]
    assert {"sex: F", "site: B", "2 scans"} <= set(names)
    ages = [name for name, group in zip(names, found.groups, strict=True) if group.by == "age"]
    assert ages[0].startswith("under ") and ages[-1].endswith(" and over")
    assert all(" to " in name and name.endswith(" years") for name in ages[1:-1])


def test_sentences_fit_what_is_not_known(examples: dict[str, AuditContent]) -> None:
    audit = examples["exposed"]
    found = audit.person_exposure
    assert found is not None and found.named is not None

    def told(**changed: object) -> str:
        section = data(audit.model_copy(update={"person_exposure": found.model_copy(update=changed)}))
        assert section is not None
        return " ".join([section.lead, *section.names, *section.reliance, *section.limits])

    listed = found.listed
    assert "No list of exposed people can be made" in told(listed=listed.model_copy(update={"share": 0.0}))
    assert "Few or nearly all people (fewer than 10 on a side) are on a list" in told(
        listed=listed.model_copy(update={"share": None})
    )
    assert "All people are on a list" in told(listed=listed.model_copy(update={"share": 1.0}))
    assert "For 12 people too few" in told(too_few=12)
    assert "too few reference models" not in told(too_few=0)
    assert "takes at least eight" in told(stability=None)
    assert "names" not in told(named=None) and "one bit" not in told(limits=None)
    shares = tuple(row.model_copy(update={"share": 0.0}) for row in found.named.shares)
    assert "names none if 50%" in told(named=found.named.model_copy(update={"shares": shares}))
    without = {k: getattr(found, k).model_copy(update={"right": None}) for k in ("most_exposed", "everybody")}
    assert told(**without).startswith("The mean AUC of the 10 most exposed people is 0.92")
