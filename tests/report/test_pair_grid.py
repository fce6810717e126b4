"""The grid shows each pair in its place, one colour for one number, and says why a cell is empty."""

from __future__ import annotations

import pytest

from memberscan.report import AuditContent, pair_grid, party_words
from memberscan.report.content.federation_json import Pair
from memberscan.report.content.parts import Estimate


def pair(attacker: str, victim: str, auc: float | None, p: float = 0.5, reason: str | None = None) -> Pair:
    found = None if auc is None else Estimate(value=auc, low=auc - 0.1, high=auc + 0.1)
    return Pair(
        attack="error",
        attacker=attacker,
        victim=victim,
        members=20,
        nonmembers=20,
        auc=found,
        accuracy=found,
        p_value=None if auc is None else p,
        p_holm=None if auc is None else p,
        reason=reason,
    )


def test_every_pair_is_in_its_place(examples: dict[str, AuditContent]) -> None:
    federation = examples["learner"].federation
    assert federation is not None
    few = pair("learner-1", "learner-5", None, reason="fewer than 10 people on a side")
    attack = federation.pairs[0].attack
    pairs = [*federation.pairs, few.model_copy(update={"attack": attack})]
    grid = pair_grid.build(pairs, attack)
    assert (grid.stem, grid.heads) == ("learner", ["1", "2", "3", "4", "5"])
    found = {(p.attacker, p.victim): p for p in pairs if p.attack == attack}
    for attacker, row in zip(grid.attackers, grid.squares, strict=True):
        for victim, square in zip(grid.victims, row, strict=True):
            assert square.own == (attacker == victim)
            mine = found.get((attacker, victim))
            if mine and mine.auc and mine.p_holm is not None:
                assert square.text == f"{mine.auc.value:.2f}"
                assert square.shown == (mine.p_holm < 0.05)
            elif mine:
                assert (square.text, square.reason) == ("n/a", "fewer than 10 people on a side")
    assert grid.reasons == ["fewer than 10 people on a side", "not part of these audits"]


@pytest.mark.parametrize(
    ("auc", "step"), [(0.3, 0), (0.5, 0), (0.544, 0), (0.546, 1), (0.65, 3), (0.696, 4), (0.9, 6), (1.0, 6)]
)
def test_the_colour_follows_the_number_shown(auc: float, step: int) -> None:
    ((square,),) = pair_grid.build([pair("server", "a", auc)], "error").squares
    assert square.step == step


def test_a_missing_pair_is_said() -> None:
    grid = pair_grid.build([pair("a", "b", 0.6), pair("b", "c", 0.7)], "error")
    assert grid.attackers == ["a", "b"]
    assert grid.squares[0][1].reason == "not part of these audits"
    assert grid.squares[1][0].own


def test_names_are_cut_only_where_all_begin_alike() -> None:
    for names, heads in (
        (["site-a", "site-b"], ["a", "b"]),
        (["site-north-1", "site-north-10"], ["1", "10"]),
        (["london", "site-b"], ["london", "site-b"]),
        (["learner-3"], ["learner-3"]),
    ):
        grid = pair_grid.build([pair("server", name, 0.6) for name in names], "error")
        assert sorted(grid.heads) == sorted(heads)
    assert pair_grid.build([pair("server", "london", 0.6)], "error").compact is False


def test_ten_comes_after_two() -> None:
    grid = pair_grid.build([pair("server", f"learner-{n}", 0.6) for n in (10, 2, 1)], "error")
    assert grid.heads == ["1", "2", "10"]


def test_the_attack_shown_is_the_strongest_that_has_pairs() -> None:
    rows = [pair("a", "b", 0.6)]
    assert party_words.main_attack(["gradient", "error"], rows) == "error"
    assert party_words.main_attack([], rows) == "error"
    assert party_words.main_attack(["error"], []) is None
