"""Lines by round keep their order and differ by more than colour."""

from __future__ import annotations

import re
from typing import Any

import pytest

from memberscan.report import pair_tables, rounds


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def line(label: str, slope: float) -> rounds.Line:
    return rounds.Line(label, [0, 1, 2, 3], [estimate(0.5 + slope * t) for t in range(4)])


def test_rows_become_one_sorted_line_an_attack() -> None:
    rows = [
        {"attack": "b", "round": 2, "accuracy": estimate(0.6)},
        {"attack": "a", "round": 1, "accuracy": estimate(0.5)},
        {"attack": "b", "round": 1, "accuracy": None},
        {"attack": "b", "round": 0, "accuracy": estimate(0.5)},
    ]
    found = rounds.lines(rows, "round", "accuracy")
    assert [(one.label, one.x) for one in found] == [("b", [0, 2]), ("a", [1])]


def test_no_two_lines_look_alike_without_colour() -> None:
    drawing = rounds.by_round([line(f"audit {n}", 0.01 * n) for n in range(8)], band=False)
    assert all(f"audit {n}" in drawing.narrow for n in range(8))
    looks = {(rounds._MARKERS[n % 8], str(rounds._DASHES[n // 4 % 3])) for n in range(24)}
    assert len({mark for mark, _ in looks}) == 8
    assert "0.5 is chance" in drawing.wide


@pytest.mark.parametrize("band", [True, False])
def test_the_band_is_that_of_the_first_line(band: bool) -> None:
    drawing = rounds.by_round([line("a", 0.1), line("b", 0.05)], band=band)
    assert len(re.findall(r"opacity: 0\.14", drawing.wide)) == int(band)


def test_one_round_is_enough() -> None:
    assert "at last" in rounds.by_round([rounds.Line("a", [1], [estimate(0.6)])], band=True).wide
    shares = rounds.coverage([rounds.Line("a", [0.25, 1.0], [estimate(0.6), estimate(0.8)])]).wide
    assert ">25%<" in shares and ">100%<" in shares


def test_tables_are_as_wide_as_their_heads(
    examples: dict[str, dict[str, Any]], merged: dict[str, Any]
) -> None:
    made = [
        pair_tables.audits(merged),
        pair_tables.findings(merged["entries"]),
        pair_tables.not_run(merged["entries"]),
        pair_tables.secure(merged["entries"], merged["secure"][0]["entries"]),
    ]
    for name in ("learner", "server", "encrypted", "summed"):
        federation = examples[name]["federation"]
        for key in ("pairs", "by_round", "coverage", "learners", "victims", "left_out"):
            table = getattr(pair_tables, key)(federation[key])
            assert len(table.rows) == len(federation[key])
            made.append(table)
    assert all(len(row) == len(table.columns) for table in made for row in table.rows)


def test_what_secure_aggregation_leaves(merged: dict[str, Any]) -> None:
    rows = pair_tables.secure(merged["entries"], merged["secure"][0]["entries"]).rows
    assert [row[1].text for row in rows] == ["every learner’s model", "ciphertexts", "sums over learners"]
    assert rows[1][2].note == "no attack could run"
