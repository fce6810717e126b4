from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan import seeds

names = st.lists(st.text(max_size=5) | st.integers(0, 99), max_size=3)


@given(st.integers(0, 2**32 - 1), names)
def test_the_same_place_always_gives_the_same_numbers(root: int, path: list[str | int]) -> None:
    first, second = (seeds.generator(root, *path).integers(2**63, size=4) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert seeds.integer(root, *path) == seeds.integer(root, *path) < 2**32


def test_places_and_roots_give_different_numbers() -> None:
    places = [("order", n) for n in range(200)] + [("dropout", n) for n in range(200)] + [("roles",), ()]
    drawn = {seeds.generator(root, *p).integers(2**63) for root, p in itertools.product((0, 1), places)}
    assert len(drawn) == 2 * len(places)


def test_neighbouring_places_are_not_correlated() -> None:
    first, second = (seeds.generator(0, "epoch", n).standard_normal(20_000) for n in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(20_000)


def test_the_numbers_are_those_of_every_other_day() -> None:
    assert seeds.integer(0, "weights") == 3840280661


def test_seeds_that_nobody_guesses_have_63_bits_and_differ_by_root_and_name() -> None:
    found = {seeds.unguessable(root, "a", k) for root in (1, 2) for k in range(100)}
    assert len(found) == 200 and all(0 <= seed < 1 << 63 for seed in found)
    assert sum(seed > 1 << 62 for seed in found) == pytest.approx(100, abs=40)
    assert seeds.unguessable(1, "a", 0) == seeds.unguessable(1, "a", 0)
