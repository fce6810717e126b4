"""How the documentation is built: Sphinx, Markdown, no network."""

from __future__ import annotations

import sys
from pathlib import Path

import memberscan

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "memberscan"
author = "The memberscan developers"
project_copyright = "The memberscan developers, Apache-2.0"
version = release = memberscan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
pygments_style = "tango"
pygments_dark_style = "monokai"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_rtype = False

# Types of other packages, whose documentation is not fetched: building needs no network. And names that
# annotations take from where only type checkers look.
nitpick_ignore_regex = [
    ("py:class", r"(np|numpy|pd|pandas|torch|pathlib|collections|typing)\..*|Any|Bool|Float|U?Int8?|'.*"),
    ("py:class", "Row|Ensemble|PredictionsFrom"),
]

html_theme = "furo"
html_title = f"memberscan {version}"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["docs.css"]
