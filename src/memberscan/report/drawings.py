"""Each figure is drawn twice, for a page and for a phone, so that text never shrinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from memberscan.report import svg

WIDE, NARROW = 780, 350


@dataclass(frozen=True)
class Drawing:
    """One figure in both widths."""

    wide: Markup
    narrow: Markup


def both(
    name: str,
    heights: tuple[int, int],
    title: str,
    description: str,
    paint: Callable[[Figure, bool], None],
) -> Drawing:
    """Draw both widths; ``paint`` is told whether it draws the narrow one."""
    wide = svg.draw(name, WIDE, heights[0], title, description, lambda f: paint(f, False))
    narrow = svg.draw(f"{name}-narrow", NARROW, heights[1], title, description, lambda f: paint(f, True))
    return Drawing(wide, narrow)
