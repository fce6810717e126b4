"""Every defence can be made at each of its strengths, so that a frontier of all of them begins."""

from __future__ import annotations

import pytest

from memberscan.defences import DEFENCES, defence_from, parts_of, strengths, written_in_full


@pytest.mark.parametrize("name", DEFENCES)
def test_a_defence_has_strengths_that_differ(name: str) -> None:
    texts = strengths(name)
    full = [written_in_full(text) for text in texts]
    assert texts and len(set(full)) == len(texts)
    for text in texts:
        assert parts_of(text) == [text] and type(defence_from(text)) is type(defence_from(texts[0]))
