"""What the report says of parties is what the audit holds: who sees what, what was shown, what is chance."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from memberscan.report import parties

Audits = dict[str, dict[str, Any]]


def said(federation: dict[str, Any]) -> str:
    return " ".join([parties.about(federation), *parties.attacker(federation), *parties.unseen(federation)])


def test_each_attacker_in_words(examples: Audits) -> None:
    learner = said(examples["learner"]["federation"])
    assert "8 learners trained together over 25 rounds, 4 local epochs in each." in learner
    assert "no other learner’s own model" in learner
    assert "It knows its own people, and 40 held-out people" in learner
    server = examples["server"]["federation"]
    assert "receives every learner’s model in every round. It plays by the rules." in said(server)
    assert "of nobody that they were trained on" in said(server)
    active = said({**server, "attacker": "active-server"})
    assert "breaks the rules" in active and "simulated" in active
    hidden = said(examples["encrypted"]["federation"])
    assert "sees no model at all" in hidden and "who hold the key" in hidden
    assert "the sum of the learners’ models" in said(examples["summed"]["federation"])
    alone = {**server, "known_nonmembers": 1, "local_epochs": None, "environment": None, "rounds": 1}
    assert "1 held-out person" in said(alone) and "over 1 round." in said(alone)


@pytest.mark.parametrize("attack", ["prediction+label", "error:rounds"])
def test_success_counts_pairs_of_one_attack(examples: Audits, attack: str) -> None:
    pairs = examples["learner"]["federation"]["pairs"]
    mine = [p for p in pairs if p["attack"] == attack]
    found = sum(p["p_holm"] is not None and p["p_holm"] < 0.05 for p in mine)
    text = parties.success(pairs, attack, [])
    assert text.startswith(f"The attack {attack} succeeds in {found} of 49 pairs (p < 0.05")
    assert text.endswith("7 pairs could not be judged.")
    gated = [{"name": "learner-2", "tripped": True, "gates": True}]
    doubtful = sum(p["p_holm"] is not None and p["p_holm"] < 0.05 for p in mine if p["victim"] == "learner-2")
    assert f"Of these, {doubtful} may owe it to who" in parties.success(pairs, attack, gated)
    none = [p | {"auc": None, "p_holm": None} for p in mine]
    assert parties.success(none, attack, []) == "None of 56 pairs could be judged."


def test_the_strongest_pair_stands_after_correction_if_any_does() -> None:
    weak = {"auc": {"value": 0.6, "low": 0.55, "high": 0.65}, "p_holm": 0.01}
    lucky = {"auc": {"value": 0.9, "low": 0.6, "high": 0.99}, "p_holm": 0.08}
    nothing = {"auc": None, "p_holm": None}
    for pair in (weak, lucky, nothing):
        pair["attack"] = "error"
    assert parties.strongest([weak, lucky, nothing]) is weak
    assert parties.strongest([lucky, nothing]) is lucky
    assert parties.strongest([nothing]) is None


def test_victims_that_differ_are_named_with_what_by(examples: Audits) -> None:
    victims = examples["server"]["federation"]["victims"]
    differing = parties.confounded(victims)
    assert [v["name"] for v in differing] == ["learner-1", "learner-4"]
    assert "most of all by age: membership and site cannot be told apart" in parties.caveat(differing[0])
    assert "this is chance" in parties.caveat({**differing[0], "gates": False})
    assert parties.checked(victims)
    assert not parties.checked([{**victims[0], "auc": None}])


def test_sources_stand_beside_the_images_alone(examples: Audits) -> None:
    found = copy.deepcopy(examples["server"]["federation"]["sources"])
    assert parties.sources(found).endswith("the models are not shown to tell more than that.")
    found["accuracy"] = {"value": 0.7, "low": 0.6, "high": 0.8}
    assert parties.sources(found).endswith("the models tell more than that.")
    assert "No classifier without a model" in parties.sources({**found, "blind": None})


def test_a_site_is_told_in_plain_words() -> None:
    pair = {"attacker": "learner-3", "victim": "learner-1", "p_holm": 0.01}
    pair["auc"] = {"value": 0.7, "low": 0.6, "high": 0.8}
    assert parties.against({"attacker": "learner"}, pair) == (
        "Another learner, learner-3, can tell your people from others: of a pair, it picks the right one "
        "70 times in 100."
    )
    missed = parties.against({"attacker": "server"}, {**pair, "p_holm": 0.2})
    assert missed == "The server was not shown to tell your people from others (AUC at most 0.80)."
    assert "the federation’s people" in parties.against({"attacker": "aggregate"}, {**pair, "victim": "all"})


def test_several_verdicts_in_one_sentence() -> None:
    audits = [{"entry": "a", "verdict": "leaks"}, {"entry": "b", "verdict": "inconclusive"}]
    entries = [{"name": "a", "attacker": "server"}, {"name": "b", "attacker": "learner"}]
    content = {"audits": audits, "entries": entries}
    assert parties.answer(content) == "Membership leaks to the server, by 1 of 2 audits."
    assert parties.counted(audits) == "1 leaks, 1 inconclusive"
    assert parties.tone(audits) == "leaks"
    assert parties.tone(audits[1:]) == "inconclusive"
    assert parties.answer({**content, "audits": audits[1:]}).startswith("No leak was shown by 1 audit;")
