"""Numbers must never be rounded across the line that a verdict hangs on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.report import words
from memberscan.report.content.audit_json import Verdict
from memberscan.report.content.bounds_json import HiddenDifference, Overlap
from memberscan.report.content.parts import Estimate
from memberscan.report.content.variable_json import AGE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.64, "0.64"),
        (0.5, "0.50"),
        (0.503, "0.503"),
        (0.4997, "0.4997"),
        (0.998, "0.998"),
        (1.0, "1.00"),
        (0.0, "0.00"),
        (-0.05, "−0.05"),
    ],
)
def test_fraction(value: float, text: str) -> None:
    assert words.fraction(value) == text


@pytest.mark.parametrize(("value", "text"), [(-0.05, "−0.05"), (0.2, "0.20"), (9.5, "9.50"), (3600, "3,600")])
def test_ratio(value: float, text: str) -> None:
    assert words.ratio(value) == text


@given(st.floats(0, 1).map(lambda x: round(x, 4)))
def test_fraction_keeps_its_side_of_chance(value: float) -> None:
    shown = float(words.fraction(value))
    assert (shown > 0.5) == (value > 0.5)
    assert (shown < 0.5) == (value < 0.5)
    assert abs(shown - value) <= 0.005 + 1e-12


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.624, "62%"),
        (0.0243, "2.4%"),
        (0.001, "0.1%"),
        (0.997, "99.7%"),
        (0.1, "10%"),
    ],
)
def test_percent(value: float, text: str) -> None:
    assert words.percent(value) == text


@given(st.floats(1e-6, 1 - 1e-6))
def test_percent_is_never_nothing_or_all(value: float) -> None:
    assert words.percent(value) not in ("0%", "100%")


def test_small_numbers_as_words() -> None:
    assert words.p_value(None) == "n/a"
    assert words.p_value(0.0) == "< 0.001"
    assert words.p_value(0.004) == "0.004"
    assert words.p_value(0.2) == "0.20"
    assert words.amount(-1.26, AGE) == "−1.3"
    assert words.amount(-0.01, AGE) == "0.0"
    assert words.count(None) == "unknown"
    assert words.people(1, "member") == "1 member"
    assert words.people(1200, "member") == "1,200 members"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.people(2, "person", "people") == "2 people"
    assert words.p_is(0.0) == "< 0.001"
    assert words.p_is(0.2) == "= 0.20"
    assert words.span(Estimate(value=0.6, low=0.58, high=0.7)) == "0.58 to 0.70"


def test_auc_as_a_natural_frequency() -> None:
    assert words.in_hundred(0.64) == "64 times in 100"
    assert words.in_hundred(0.999) == "more than 99 times in 100"
    assert words.in_hundred(1.0) == "100 times in 100"


@given(st.floats(0.5, 0.994))
def test_an_auc_and_its_natural_frequency_have_the_same_digits(value: float) -> None:
    digits = words.fraction(value).partition(".")[2]
    assert words.in_hundred(value) == f"{int(digits):,} times in {10 ** len(digits):,}"


@given(st.floats(0, 1))
def test_bounds_are_rounded_to_the_safe_side(value: float) -> None:
    low, up = float(words.at_least(value)), float(words.detectable(value))
    assert low <= value + 1e-9 <= low + 0.01 + 2e-9
    assert (low > 0.5) == (value > 0.5 + 1e-9) or abs(value - 0.5) < 1e-4
    assert up - 0.01 <= value + 1e-9 and value <= up + 1e-9
    assert words.detectable(up) == words.detectable(value)


def test_names_with_numbers_of_any_length_are_ordered() -> None:
    names = ["learner-" + "9" * 5000, "learner-10", "learner-2"]
    assert sorted(names, key=words.natural) == names[::-1]


def test_overlap_says_for_whom_the_comparison_speaks() -> None:
    shares = {"members": 0.95, "nonmembers": 1.0, "effective_nonmembers": 0.7}
    text = words.overlap(Overlap(**shares, effective_members=0.8, extent="good"))
    assert "95% of the members, and 100% of the non-members, have people alike" in text
    assert "the weight of 80% of the members, so the answer holds for most members." in text
    text = words.overlap(Overlap(**shares, effective_members=0.1, extent="failed"))
    assert text.endswith(
        "which is too few for an answer about the members: the two sides do not overlap enough."
    )


@pytest.mark.parametrize(
    ("two", "many", "points"),
    [(0.349, 0.188, ("34", "18")), (0.1, 0.0499, ("10", "4.9")), (1, 1, ["100"] * 2)],
)
def test_a_hidden_difference_is_never_rounded_up(two: float, many: float, points: list[str]) -> None:
    verdict = Verdict(
        label="leaks",
        sentence=".",
        smallest_detectable_auc=0.6,
        hidden_difference=HiddenDifference(two_kinds=two, any_kinds=many),
    )
    text = words.hidden_difference(verdict)
    assert f"non-members must differ by at least {points[0]} percentage points" in text
    assert f"by at least {points[1]} percentage points (total" in text
    assert words.hidden_difference(verdict.model_copy(update={"hidden_difference": None})) == ""
