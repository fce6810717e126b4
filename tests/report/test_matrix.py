"""The grid shows each pair in its place, one colour for one number, and says why a cell is empty."""

from __future__ import annotations

from typing import Any

import pytest

from memberscan.report import matrix, parties


def pair(attacker: str, victim: str, auc: float | None, p: float = 0.5, reason: str | None = None) -> Any:
    found = None if auc is None else {"value": auc, "low": auc - 0.1, "high": auc + 0.1}
    holm = None if auc is None else p
    return {"attack": "error", "attacker": attacker, "victim": victim, "auc": found, "p_holm": holm} | {
        "reason": reason
    }


def test_every_pair_is_in_its_place(examples: dict[str, dict[str, Any]]) -> None:
    pairs = examples["learner"]["federation"]["pairs"]
    grid = matrix.build(pairs, "error:rounds")
    assert grid.heads == [str(n) for n in range(1, 9)]
    assert grid.stem == "learner-"
    found = {(p["attacker"], p["victim"]): p for p in pairs if p["attack"] == "error:rounds"}
    for attacker, row in zip(grid.attackers, grid.squares, strict=True):
        for victim, square in zip(grid.victims, row, strict=True):
            assert square.own == (attacker == victim)
            mine = found.get((attacker, victim))
            if mine and mine["auc"]:
                assert square.text == f"{mine['auc']['value']:.2f}"
                assert square.shown == (mine["p_holm"] < 0.05)
            elif mine:
                assert (square.text, square.reason) == ("n/a", "fewer than 10 scored on one side")
    assert grid.reasons == ["fewer than 10 scored on one side"]


@pytest.mark.parametrize(
    ("auc", "step"), [(0.3, 0), (0.5, 0), (0.544, 0), (0.546, 1), (0.65, 3), (0.696, 4), (0.9, 6), (1.0, 6)]
)
def test_the_colour_follows_the_number_shown(auc: float, step: int) -> None:
    ((square,),) = matrix.build([pair("server", "a", auc)], "error").squares
    assert square.step == step


def test_a_missing_pair_is_said() -> None:
    grid = matrix.build([pair("a", "b", 0.6), pair("b", "c", 0.7)], "error")
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
        grid = matrix.build([pair("server", name, 0.6) for name in names], "error")
        assert sorted(grid.heads) == sorted(heads)
    assert matrix.build([pair("server", "london", 0.6)], "error").compact is False


def test_ten_comes_after_two() -> None:
    grid = matrix.build([pair("server", f"learner-{n}", 0.6) for n in (10, 2, 1)], "error")
    assert grid.heads == ["1", "2", "10"]


def test_the_attack_shown_is_the_strongest_that_has_pairs() -> None:
    rows = [pair("a", "b", 0.6)]
    assert parties.main_attack(["gradient", "error"], rows) == "error"
    assert parties.main_attack([], rows) == "error"
    assert parties.main_attack(["error"], []) is None
