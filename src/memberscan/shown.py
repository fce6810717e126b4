"""Make text from files safe to show: on a terminal, in a page or figure, or in a spreadsheet."""

from __future__ import annotations

import unicodedata
from json import dumps
from typing import Any

# Cc holds escape sequences (which can move the cursor or write the clipboard), Cf the marks that reverse or
# hide text, Cs lone surrogates that cannot be encoded, Zl and Zp line breaks that few programs know.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Some spreadsheets also accept the full-width forms, and skip blanks before either form.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
MARK = "'"


def plain(text: str, *, keep: str = "") -> str:
    """Return text with control, formatting and unencodable characters replaced, except those to keep."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_REPLACEMENT if unicodedata.category(c) in _UNSAFE and c not in keep else c for c in text)


def to_json(value: Any) -> str:
    """Return JSON that is always the same for the same value; NaN is an error, because JSON has no NaN."""
    return dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def escaped(json: str) -> str:
    """Return JSON text in which the characters that :func:`plain` replaces are written as JSON escapes."""
    unsafe = (c for c in set(json) if c != "\n" and unicodedata.category(c) in _UNSAFE)
    return json.translate({ord(c): _escape(c) for c in unsafe})


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k : k + 2].hex()}" for k in range(0, len(units), 2))


def plain_values(value: Any) -> Any:
    """Apply :func:`plain` to every text within JSON values, keys included."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain_values(key): plain_values(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(inner) for inner in value]
    return value


def cell(text: str) -> str:
    """Return text that a spreadsheet does not read as a formula; :func:`from_cell` undoes it."""
    return f"{MARK}{text}" if _is_formula(text) else text


def from_cell(text: str) -> str:
    """Return the text that :func:`cell` was given."""
    return text[1:] if text.startswith(MARK) and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Return whether text is a formula, or is already marked as one and so needs another mark."""
    bare = text.lstrip(MARK)
    return bare.startswith(FORMULA) and not _is_number(bare)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
