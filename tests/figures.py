"""Figures of which only the words are written: laying out and drawing one takes longer than most audits."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import pytest
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

from memberscan.report import drawings, svg


@contextmanager
def only_words_of_figures() -> Iterator[None]:
    """Paint one of the two widths of each figure, and write its words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "FigureCanvasSVG", WordsOfFigure)
        patch.setattr(drawings, "svg", OneWidth)
        yield


@contextmanager
def drawing() -> Iterator[None]:
    """Let matplotlib draw all figures of pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "FigureCanvasSVG", FigureCanvasSVG)
        patch.setattr(drawings, "svg", svg)
        yield


class OneWidth:
    """Takes the place of the module that draws: of a page's and a phone's figure, one has nothing on it.

    Which one is a matter of its description, so that both are painted for many kinds of results.
    """

    @staticmethod
    def draw(
        name: str, width: int, height: int, title: str, description: str, paint: Callable[[Figure], None]
    ) -> Markup:
        """Return the same as :func:`memberscan.report.svg.draw`, or nothing."""
        if name.endswith("-narrow") == bool(zlib.crc32(description.encode()) % 2):
            return svg.draw(name, width, height, title, description, paint)
        return Markup("")


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
