"""Page, sentence, terminal and groups of people follow the rule that the verdict was made by."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memberscan import AuditResult, ThreatModel, audit
from memberscan.report import render_html

from .conftest import predictions_table, require_valid


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Audits of files of 14 members and 14 others, whose errors are three times as large."""
    folder, contents = tmp_path_factory.mktemp("small"), []
    for seed in range(6):
        path = folder / f"{seed}.csv"
        predictions_table(np.random.default_rng(seed), 28, ratio=3.0).to_csv(path, index=False)
        asked = audit(path, threat=ThreatModel(repeats=1), attacks=["error", "prediction+label"])
        contents.append(dict(asked.content))
    return contents


def named(content: dict[str, Any]) -> str | None:
    """Return the attack of the strongest finding that the page of an audit shows, if it shows one."""
    found = re.search(r"the attack <i>(.*?)</i> picks the member", render_html(content))
    return None if found is None else found[1].replace("<wbr>", "")


def test_with_few_people_the_page_follows_the_p_values_that_decide(small: list[dict[str, Any]]):
    leaks = [content for content in small if content["verdict"]["label"] == "leaks"]
    assert 2 <= len(leaks) < len(small)
    rules = {content["verdict"]["basis"]["rule"] for content in small}
    assert "permutation" in rules and "simultaneous bound" not in rules
    for content in small:
        require_valid(content)
        leak = content["verdict"]["label"] == "leaks"
        assert leak == (named(content) is not None) == bool(content["verdict"]["basis"]["shown"])


def test_with_few_people_sentence_page_and_groups_name_one_attack(small: list[dict[str, Any]]):
    for content in small:
        attack = content["exposure"]["attack"]
        assert content["verdict"]["basis"]["attack"] == attack
        if content["verdict"]["label"] == "leaks":
            assert named(content) == attack
            assert f"attack {attack} ranks" in content["verdict"]["sentence"]


def test_groups_are_judged_among_people_who_are_alike_where_the_sides_differ(tmp_path: Path):
    """All that the attack shows comes from age, so that no group of ages or sex may show more."""
    table = predictions_table(np.random.default_rng(0), 600, older=1.0)
    age = table["age"]
    table["prediction"] = age + (table["prediction"] - age) * np.exp((70 - age) / 12)
    table.to_csv(tmp_path / "p.csv", index=False)
    content = dict(audit(tmp_path / "p.csv").content)
    require_valid(content)
    assert content["verdict"]["label"] == "no leak shown"
    assert "Among all people attack" in content["verdict"]["sentence"]
    # No number stands large under an answer that rests on none.
    assert named(content) is None
    assert content["exposure"]["attack"] == content["verdict"]["basis"]["attack"]
    by_sex = [g["auc"] for g in content["exposure"]["groups"] if g["by"] == "sex"]
    assert len(by_sex) == 2
    assert all(auc["low"] < 0.5 for auc in by_sex)


def test_a_leak_through_confounding_is_shown_in_the_groups_too(tmp_path: Path):
    table = predictions_table(np.random.default_rng(1), 600, older=1.0, ratio=3.0)
    table.to_csv(tmp_path / "p.csv", index=False)
    content = dict(audit(tmp_path / "p.csv").content)
    assert content["verdict"]["label"] == "leaks"
    groups = content["exposure"]["groups"]
    assert f"attack {content['exposure']['attack']} ranks" in content["verdict"]["sentence"]
    assert sum(g["auc"] is not None and g["auc"]["low"] > 0.5 for g in groups) >= 3


@pytest.mark.parametrize(
    ("attacker", "known"), [("aggregate", 0), ("server", 0), ("learner", 16), ("outsider", 16)]
)
def test_nobody_but_a_learner_is_said_to_know_members_of_a_federation(
    attacker: str, known: int, audited: Callable[..., AuditResult]
):
    assert audited(attacker).content["threat"]["known_per_side"] == known


def test_groups_of_a_federation_unlike_in_age_are_judged_among_people_who_are_alike(
    audited: Callable[..., AuditResult],
):
    content = audited("server", "uniform-noniid").content
    assert "alike in the covariates" in content["verdict"]["sentence"]
    assert content["exposure"]["attack"] == content["verdict"]["basis"]["attack"]
    assert all(group["accuracy"] is None for group in content["exposure"]["groups"])


@pytest.mark.parametrize("environment", ["uniform-iid", "uniform-noniid"])
def test_no_page_says_of_a_drawn_federation_that_somebody_chose_the_members(
    environment: str, audited: Callable[..., AuditResult]
):
    page = render_html(dict(audited("outsider", environment).content))
    assert "chosen by the people who trained the model" not in page
    assert "drawn at random" in page
