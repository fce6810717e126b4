"""Turn matplotlib figures into inline SVG that follows the page: its colours, its fonts, light and dark."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import matplotlib.style
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Matplotlib needs real colours to draw with. CSS variables replace these in the SVG.
INK, MUTED, RULE, PAPER, SHADE = "#010203", "#010204", "#010205", "#010206", "#010207"
MEMBER, NONMEMBER, SIGNAL, SECOND, TONE = "#010208", "#010209", "#01020a", "#01020b", "#01020c"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    SHADE: "--shade",
    MEMBER: "--member",
    NONMEMBER: "--nonmember",
    SIGNAL: "--signal",
    SECOND: "--second",
    TONE: "--tone",
}

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": "medium",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 1,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.color": INK,
    # Names may hold dollar signs, and matplotlib would read the text between two of them as a formula.
    "text.parse_math": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "ytick.major.size": 0,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
}


def draw(
    name: str, width: int, height: int, title: str, description: str, paint: Callable[[Figure], None]
) -> Markup:
    """Draw a figure and return it as an inline SVG element.

    The same arguments give the same bytes: matplotlib's defaults are used whatever the user has configured,
    ids come from a fixed salt, and nothing records the time. Pyplot's global state is not touched.

    Parameters
    ----------
    name
        Prefix of all ids in the SVG; unique in the page.
    width, height
        Size in CSS pixels at which text has its nominal size.
    title, description
        What a screen reader says: what the figure is, and what it shows.
    paint
        Puts the content on the empty figure, with the colours of this module.
    """
    style = _STYLE | {"svg.hashsalt": name, "font.size": 13 if width > 400 else 12}
    with matplotlib.style.context(["default", style]):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained", facecolor="none")
        paint(figure)
        for axes in figure.axes:
            axes.set_facecolor("none")
        stream = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        # ``savefig`` would draw everything once more, to lay it out.
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(stream, metadata=nothing)
    return Markup(_inline(stream.getvalue(), name, width, title, description))


def _inline(svg: str, name: str, width: int, title: str, description: str) -> str:
    root = ET.fromstring(svg)
    for defs in root.findall(f"{{{_SVG}}}defs"):
        for style in defs.findall(f"{{{_SVG}}}style"):  # it would apply to the whole page
            defs.remove(style)
    used = {e.attrib[_HREF][1:] for e in root.iter() if _HREF in e.attrib}
    used |= set(re.findall(r"url\(#([^)]+)\)", svg))
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        element.text = element.text and element.text.strip() and element.text
        element.tail = None
        _rename_ids(element, name, used)
        if "d" in element.attrib:
            element.attrib["d"] = re.sub(r"\s+", " ", element.attrib["d"]).strip()
        if "style" in element.attrib:
            element.attrib["style"] = re.sub(r"font-family: [^;]+;? ?", "", element.attrib["style"])
        if re.match(r"rotate\(-?0 ", element.attrib.get("transform", "")):
            del element.attrib["transform"]
    view = root.attrib["viewBox"]
    root.attrib = {
        "class": "plot",
        "viewBox": view,
        "width": str(width),
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(position, element)
    text = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return re.sub("|".join(VARIABLES), lambda match: f"var({VARIABLES[match[0]]})", text)


def _rename_ids(element: ET.Element, name: str, used: set[str]) -> None:
    """Keep only ids that something refers to, and make them unique in the page."""
    identifier = element.attrib.pop("id", None)
    if identifier in used:
        element.attrib["id"] = f"{name}-{identifier}"
    if _HREF in element.attrib:
        element.attrib["href"] = f"#{name}-{element.attrib.pop(_HREF)[1:]}"
    for key, value in element.attrib.items():
        element.attrib[key] = value.replace("url(#", f"url(#{name}-")
