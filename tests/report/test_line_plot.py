"""Lines by round keep their order and differ by more than colour."""

from __future__ import annotations

import re

import pytest

from memberscan.report import line_plot
from memberscan.report.content.parts import Estimate


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.05, high=value + 0.05)


def line(label: str, slope: float) -> line_plot.Line:
    return line_plot.Line(label, [0, 1, 2, 3], [estimate(0.5 + slope * t) for t in range(4)])


def test_rows_become_one_sorted_line_an_attack() -> None:
    rows = [("b", 2, estimate(0.6)), ("a", 1, estimate(0.5)), ("b", 1, None), ("b", 0, estimate(0.5))]
    found = line_plot.lines(rows)
    assert [(one.label, one.x) for one in found] == [("b", [0, 2]), ("a", [1])]


def test_no_two_lines_look_alike_without_colour() -> None:
    drawing = line_plot.by_round([line(f"audit {n}", 0.01 * n) for n in range(8)], band=False)
    assert all(f"audit {n}" in drawing.narrow for n in range(8))
    looks = {(line_plot._MARKERS[n % 8], str(line_plot._DASHES[n // 4 % 3])) for n in range(24)}
    assert len({mark for mark, _ in looks}) == 8
    assert "0.5 is chance" in drawing.wide


@pytest.mark.parametrize("band", [True, False])
def test_the_band_is_that_of_the_first_line(band: bool) -> None:
    drawing = line_plot.by_round([line("a", 0.1), line("b", 0.05)], band=band)
    assert len(re.findall(r"opacity: 0\.14", drawing.wide)) == int(band)


def test_one_round_is_enough() -> None:
    assert "at last" in line_plot.by_round([line_plot.Line("a", [1], [estimate(0.6)])], band=True).wide
    shares = line_plot.coverage([line_plot.Line("a", [0.25, 1.0], [estimate(0.6), estimate(0.8)])]).wide
    assert ">25%<" in shares and ">100%<" in shares
