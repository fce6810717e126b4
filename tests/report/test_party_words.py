"""What the report says of parties is what the audit holds: what was shown, and what may be chance."""

from __future__ import annotations

import pytest

from memberscan.report import AuditContent, party_words
from memberscan.report.content.federation_json import Federation, Pair
from memberscan.report.content.parts import Estimate

Examples = dict[str, AuditContent]


def federation_of(audit: AuditContent) -> Federation:
    assert audit.federation is not None
    return audit.federation


@pytest.mark.parametrize("attack", ["prediction+label", "error:zero-knowledge"])
def test_success_counts_pairs_of_one_attack(examples: Examples, attack: str) -> None:
    federation = federation_of(examples["learner"])
    mine = [p for p in federation.pairs if p.attack == attack]
    nothing = {"auc": None, "p_value": None, "p_holm": None}
    empty = [pair.model_copy(update=nothing) for pair in mine]
    found = sum(p.p_holm is not None and p.p_holm < 0.05 for p in mine)
    text = party_words.success([*federation.pairs, *empty], attack, [])
    assert text.startswith(f"The attack {attack} succeeds in {found} of 12 pairs (p < 0.05")
    assert text.endswith("12 pairs could not be judged.")
    gated = federation.victims[1].model_copy(update={"tripped": True, "gates": True})
    sure = [pair.model_copy(update={"p_holm": 0.001}) for pair in mine]
    doubtful = sum(pair.victim == gated.name for pair in mine)
    assert f"Of these, {doubtful} may be explained by how" in party_words.success(sure, attack, [gated])
    assert f"Of these, {len(mine)} may be explained" in party_words.success(sure, attack, [], [gated])
    assert party_words.success(empty, attack, []) == "None of 12 pairs could be judged."


def test_the_strongest_pair_stands_after_correction_if_any_does(examples: Examples) -> None:
    some = federation_of(examples["learner"]).pairs[0]

    def pair(auc: tuple[float, float, float] | None, p_holm: float | None) -> Pair:
        found = auc and Estimate(value=auc[0], low=auc[1], high=auc[2])
        return some.model_copy(update={"auc": found, "p_holm": p_holm})

    weak, lucky, nothing = pair((0.6, 0.55, 0.65), 0.01), pair((0.9, 0.6, 0.99), 0.08), pair(None, None)
    assert party_words.strongest([weak, lucky, nothing]) is weak
    assert party_words.strongest([lucky, nothing]) is lucky
    assert party_words.strongest([nothing]) is None


def test_victims_that_differ_are_named_with_what_by(examples: Examples) -> None:
    victims = federation_of(examples["server"]).victims
    differing = party_words.confounded(victims)
    assert {v.name for v in differing} == {f"learner-{n}" for n in range(1, 5)}
    assert [v.auc for v in differing] == sorted((v.auc for v in differing), key=lambda auc: -(auc or 0))
    caveat = party_words.caveat(differing[0])
    assert "most of all by age: membership and site cannot be told apart" in caveat
    assert "this is chance" in party_words.caveat(differing[0].model_copy(update={"gates": False}))
    assert party_words.checked(victims)
    assert not party_words.checked([victims[0].model_copy(update={"auc": None})])


def test_sources_stand_beside_the_images_alone(examples: Examples) -> None:
    found = federation_of(examples["server"]).sources
    assert found is not None

    def said(low: float) -> str:
        accuracy = Estimate(value=0.7, low=low, high=0.8)
        blind = Estimate(value=0.4, low=0.3, high=0.5)
        return party_words.sources(found.model_copy(update={"accuracy": accuracy, "blind": blind}))

    assert said(0.45).endswith("the models are not shown to tell more than that.")
    assert said(0.55).endswith("the models tell more than that.")
    assert "A classifier that sees the inputs alone" in said(0.55)
    assert "no comparison with a classifier" in party_words.sources(found.model_copy(update={"blind": None}))
