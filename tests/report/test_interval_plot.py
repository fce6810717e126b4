"""Labels of a figure of intervals are never crossed by the lines of chance and of the error gap."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from memberscan.report.content.parts import Estimate
from memberscan.report.drawings import NARROW, WIDE
from memberscan.report.interval_plot import Row, draw_intervals

LONG = "prediction+label+gradient:conv6+gradient:output"


@pytest.mark.parametrize(("width", "size"), [(WIDE, 13), (NARROW, 12)])
def test_no_line_crosses_a_label(width: int, size: int) -> None:
    found = Estimate(value=0.62, low=0.55, high=0.7)
    rows = [Row(LONG, found, bound=0.53), Row("error", found), Row(LONG, None, note="too few people " * 2)]
    figure = Figure(figsize=(width / 72, (84 + 42 * len(rows)) / 72), dpi=72, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw_intervals(axes, rows, gap=0.58, narrow=width == NARROW)
    for text in axes.texts:
        text.set_fontsize(size)
    figure.draw_without_rendering()
    upright = [line for line in axes.lines if np.ptp(line.get_xdata()) == 0 and len(line.get_xdata()) == 2]
    assert {line.get_xdata()[0] for line in upright} >= {0.5, 0.58}
    labels = [text for text in axes.texts if text.get_position()[0] in (0, 1)]
    assert len(labels) == 6
    for text in labels:
        box = text.get_window_extent()
        for line in upright:
            (x, low), (_, high) = axes.transData.transform(np.column_stack(line.get_data()))
            low, high = sorted((low, high))
            assert not (box.x0 < x < box.x1 and low < box.y1 and high > box.y0), text.get_text()


@pytest.mark.parametrize("reason", ["too few people", "fewer than ten people on a side, " * 4])
def test_the_reason_for_a_missing_estimate_leaves_the_axes_their_width(reason: str) -> None:
    found, widths = Estimate(value=0.62, low=0.55, high=0.7), []
    for note in ("", reason):
        figure = Figure(figsize=(NARROW / 72, 168 / 72), dpi=72, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        draw_intervals(axes, [Row("error", found), Row("sex: F", None, note=note)], gap=None, narrow=True)
        figure.draw_without_rendering()
        widths.append(axes.get_window_extent().width)
        assert all(len(text.get_text()) <= 60 for text in axes.texts)
    assert widths[1] == pytest.approx(widths[0])
