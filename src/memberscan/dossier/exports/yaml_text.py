"""Write plain values as YAML: mappings and lists in blocks, everything else as JSON, which YAML contains."""

from __future__ import annotations

import json
from typing import Any


def yaml_of(value: Any, indent: int = 0) -> str:
    """Return a mapping or a list as YAML, one line for each value, each indented by ``indent`` blanks."""
    blank = " " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{blank}{key}:{_after(inner, indent)}" for key, inner in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{blank}-{_item(inner, indent)}" for inner in value)
    return f"{blank}{json.dumps(value, ensure_ascii=False)}\n"


def _after(value: Any, indent: int) -> str:
    if isinstance(value, (dict, list)) and value:
        return f"\n{yaml_of(value, indent + 2)}"
    return f" {json.dumps(value, ensure_ascii=False)}\n"


def _item(value: Any, indent: int) -> str:
    if isinstance(value, (dict, list)) and value:
        # The first key of a mapping stands on the line of the dash.
        return f" {yaml_of(value, indent + 2).lstrip()}"
    return f" {json.dumps(value, ensure_ascii=False)}\n"
