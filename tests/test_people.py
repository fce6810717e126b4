"""People behind scans, against loops over subjects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.people import People

owners = st.lists(st.sampled_from(["b", "a", "sub 10", "sub 9", "é"]), min_size=1, max_size=14)


def of(names: list[str]) -> People:
    return People.of(pd.Series(names))


@given(owners)
def test_ids_are_sorted_and_every_scan_leads_to_its_owner(names: list[str]):
    people = of(names)
    assert list(people.ids) == sorted(set(names)) and len(people) == len(set(names))
    assert [people.ids[place] for place in people.of_scan] == names
    assert people.scan_count.tolist() == [names.count(name) for name in people.ids]


@given(owners, st.sampled_from([(), (2,), (2, 3), (0,), (0, 2)]), st.integers(0, 2**32 - 1))
def test_means_are_those_of_a_naive_twin_on_every_leading_axis(
    names: list[str], leading: tuple[int, ...], seed: int
):
    people = of(names)
    values = np.random.default_rng(seed).normal(size=(*leading, len(names)))
    found = people.mean(values)
    assert found.shape == (*leading, len(people))
    for place, name in enumerate(people.ids):
        own = [scan for scan, owner in enumerate(names) if owner == name]
        np.testing.assert_allclose(found[..., place], values[..., own].mean(axis=-1), atol=1e-12)


@given(owners, st.integers(0, 2**32 - 1))
def test_the_order_of_scans_decides_nothing(names: list[str], seed: int):
    rng = np.random.default_rng(seed)
    values, order = rng.normal(size=len(names)), rng.permutation(len(names))
    moved = of([names[scan] for scan in order])
    assert moved.ids == of(names).ids
    np.testing.assert_allclose(moved.mean(values[order]), of(names).mean(values), atol=1e-12)


def test_a_scan_without_a_value_leaves_its_subject_without_one():
    people = of(["a", "b", "a", "c"])
    means = people.mean(np.array([1.0, 2.0, np.nan, 4.0]))
    np.testing.assert_array_equal(means, [np.nan, 2.0, 4.0])
    np.testing.assert_array_equal(people.mean(np.array([True, False, False, True])), [0.5, 0.0, 1.0])


@given(owners, st.integers(0, 2**32 - 1))
def test_scans_of_some_people_are_theirs_in_the_order_of_the_scans(names: list[str], seed: int):
    people = of(names)
    chosen = np.random.default_rng(seed).random(len(people)) < 0.5
    asked = {name for name, kept in zip(people.ids, chosen, strict=True) if kept}
    assert people.scans_of(chosen).tolist() == [s for s, owner in enumerate(names) if owner in asked]


def test_covariates_are_means_of_numbers_and_the_first_of_text():
    names = ["b", "a", "b", "c"]
    by_scan = pd.DataFrame(
        {"icv": [1.0, 2.0, 4.0, np.nan], "site": ["x", "y", "z", None], "7": [1, 2, 3, 4]},
        index=["s4", "s1", "s2", "s3"],
    )
    table = of(names).covariates(by_scan)
    assert table.index.tolist() == ["a", "b", "c"] and list(table) == ["icv", "site", "7"]
    np.testing.assert_array_equal(table["icv"], [2.0, 2.5, np.nan])
    assert table["site"].iloc[:2].tolist() == ["y", "x"] and table["site"].isna().tolist() == [0, 0, 1]
    assert table["7"].tolist() == [2.0, 2.0, 4.0]


def test_no_covariates_leave_a_row_for_everybody():
    table = of(["b", "a", "b"]).covariates(pd.DataFrame(index=["s1", "s2", "s3"]))
    assert table.shape == (2, 0) and table.index.tolist() == ["a", "b"]


def test_ids_that_are_numbers_in_text_keep_their_text():
    people = of(["010", "9", "10"])
    assert people.ids == ("010", "10", "9")


@pytest.mark.parametrize("dtype", [object, "str"])
def test_ids_may_be_text_of_either_kind(dtype: object):
    people = People.of(pd.Series(["b", "a"], dtype=dtype))
    assert people.ids == ("a", "b") and all(type(name) is str for name in people.ids)


@given(owners, st.integers(0, 2**32 - 1))
def test_totals_are_means_times_the_number_of_scans(names: list[str], seed: int):
    people = of(names)
    values = np.random.default_rng(seed).normal(size=(2, len(names)))
    np.testing.assert_allclose(people.total(values), people.mean(values) * people.scan_count, atol=1e-12)
