"""Figures of which only the words are written: laying out and drawing one takes longer than most audits."""

from __future__ import annotations

from typing import Any, TextIO

from matplotlib.figure import Figure
from matplotlib.text import Text


class WordsOfFigure:
    """Takes the place of matplotlib's SVG canvas, after all that a section paints is on the figure.

    Everything of ours runs, so that a figure that cannot be painted still fails a test. Only matplotlib's own
    layout and drawing are left out.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def print_svg(self, stream: TextIO, *, metadata: dict[str, Any]) -> None:
        """Write an SVG that holds the texts that were put on the figure, without the marks of axes."""
        words = [text.get_text() for axes in self.figure.axes for text in _texts(axes)]
        escaped = [word.replace("&", "&amp;").replace("<", "&lt;") for word in words if word]
        lines = "".join(f"<text>{word}</text>" for word in escaped)
        stream.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{lines}</svg>')


def _texts(axes: Any) -> list[Text]:
    legend = axes.get_legend()
    titles = [axes.title, axes.xaxis.label, axes.yaxis.label]
    return [*titles, *axes.texts, *(legend.get_texts() if legend is not None else [])]
