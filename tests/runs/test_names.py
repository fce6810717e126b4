from __future__ import annotations

import pytest

from memberscan.runs.names import can_name_a_learner, unusable_name


@pytest.mark.parametrize("name", ["site-1", "7", "A.b_c-d", "globally", "x" * 100])
def test_names_of_files_are_names_of_learners(name: str) -> None:
    assert can_name_a_learner(name)


@pytest.mark.parametrize(
    "name",
    [
        "global",
        "Global",
        "GLOBAL",
        "Ciphertext",
        "ALL",
        "NaN",
        "",
        ".hidden",
        "-x",
        "a/b",
        "a b",
        "ü",
        "x" * 101,
        3,
    ],
)
def test_reserved_words_in_any_case_and_what_is_no_file_name_are_none(name: object) -> None:
    assert not can_name_a_learner(name)


def test_the_first_name_that_is_reserved_or_taken_is_told() -> None:
    assert unusable_name(["a", "b", "c"]) is None
    assert unusable_name(["a", "Global", "all"]) == "Global"
    assert unusable_name(["site", "b", "Site"]) == "Site"
    assert unusable_name(["site", "site"]) == "site"
