from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.shown import FORMULA, cell, escaped, from_cell, plain, plain_values

any_text = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b]52;c;cm0gLXJmIH4=\x07",  # writes the clipboard of some terminals
        "\x1b[2J\x1b[H",
        "site\x9b31m",
        "member\u202etpircs",
        "zero\u200bwidth",
        "half \ud800 of a character",
        "a\rb",
        "a\nb",
        "null\0",
        "line\u2028break",
    ],
)
def test_nothing_that_acts_on_a_terminal_or_hides_is_left(hostile: str) -> None:
    shown = plain(hostile)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(shown) == len(hostile)
    assert "�" in shown


@given(any_text)
def test_plain_text_stays_and_can_be_encoded(text: str) -> None:
    shown = plain(text)
    shown.encode()
    assert plain(shown) == shown
    if all(unicodedata.category(c)[0] in "LNPSM" or c == " " for c in text):
        assert shown == text


def test_what_is_kept_is_said() -> None:
    assert plain("a\n\tb\x1b", keep="\n\t") == "a\n\tb�"


def test_every_text_within_values_is_made_safe() -> None:
    value = {"a\x1b": ["\x07", 1, None, {"b": ("\u202e", True)}]}
    assert plain_values(value) == {"a�": ["�", 1, None, {"b": ["�", True]}]}


@given(any_text)
def test_a_cell_survives_and_begins_no_formula(text: str) -> None:
    assert from_cell(cell(text)) == text
    # A table that others wrote has no marks, and its own apostrophes are kept.
    if not text.lstrip("'").startswith(FORMULA):
        assert cell(text) == from_cell(text) == text
    written = cell(text)
    if written[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n"):
        float(written)


@given(any_text)
def test_json_is_the_same_and_safe_to_print(text: str) -> None:
    shown = escaped(json.dumps([text], ensure_ascii=False, indent=2))
    # Two halves of one character that stood apart are one when JSON is read.
    assert json.loads(shown) == [text] or not text.isprintable()
    assert not {unicodedata.category(c) for c in shown.replace("\n", "")} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
