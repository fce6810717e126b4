from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.ages import age_problem, parse_age, units_per_year
from memberscan.errors import ParticipantsError


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("26", 26),
        ("26.9", 26.9),
        ("26,9", 26.9),
        (" 7 ", 7),
        ("-1", -1),
        ("2.5e1", 25),
        ("+30", 30),
        ("0", 0),
    ],
)
def test_numbers(text: str, years: float) -> None:
    assert parse_age(text) == (years, "")


@pytest.mark.parametrize("text", ["89+", "89 +", ">89", ">= 89", "≥89", "89,0+"])
def test_a_lower_limit_is_kept_and_noted(text: str) -> None:
    assert parse_age(text) == (89, f"written {text}")


@pytest.mark.parametrize(
    "text", ["", "n/a", "N/A", "nan", "inf", "-inf", "20-25", "forty", "1_0", "4 0", "+", "1.2.3"]
)
def test_no_number_is_no_age(text: str) -> None:
    age = parse_age(text)
    assert math.isnan(age.years)
    assert age.note == ""
    assert age_problem(text, age).startswith("no age")


@given(
    st.floats(0, 120),
    st.sampled_from([".", ","]),
    st.sampled_from(["", "+"]),
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from(["years", "Months", "wk", "day", "Yr"]),
)
def test_reads_back_what_is_written(years: float, mark: str, plus: str, space: str, unit: str) -> None:
    per_year = units_per_year(unit)
    text = space + repr(years * per_year).replace(".", mark) + plus + space
    age = parse_age(text, per_year=per_year)
    assert math.isclose(age.years, years, rel_tol=1e-12, abs_tol=1e-300)
    assert bool(age.note) == bool(plus)


@given(st.text(max_size=12))
def test_any_text_gives_a_finite_age_or_none(text: str) -> None:
    years, _ = parse_age(text)
    assert (
        math.isnan(years)
        or not age_problem(text, parse_age(text))
        or "implausible" in age_problem(text, parse_age(text))
    )


@pytest.mark.parametrize(
    ("years", "usable"), [(-0.1, False), (0, True), (120, True), (120.1, False), (1e9, False)]
)
def test_plausible_ages(years: float, usable: bool) -> None:
    assert (age_problem(str(years), parse_age(str(years))) == "") is usable


def test_units() -> None:
    assert units_per_year("years") == units_per_year(" Year") == units_per_year("yrs") == 1
    assert units_per_year("months") == 12
    assert units_per_year("weeks") == pytest.approx(52.18, abs=0.01)
    assert units_per_year("d") == 365.25
    with pytest.raises(ParticipantsError, match="fortnights"):
        units_per_year("fortnights")
