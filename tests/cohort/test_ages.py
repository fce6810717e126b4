from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort.ages import age_problem, parse_age, unit_problem, units_per_year
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


GROWN = np.linspace(18, 90, 200)


@pytest.mark.parametrize(
    ("ages", "says"),
    [
        (GROWN * 365.25, "days"),
        (GROWN * 12, "weeks or months"),
        (np.linspace(60, 126, 100), "weeks or months"),
        (2024 - GROWN, "years of birth"),
        ((GROWN - GROWN.mean()) / GROWN.std(), "standardised"),
        (GROWN - GROWN.mean(), "standardised"),
    ],
    ids=["days", "months", "months of children", "birth", "z-scores", "centred"],
)
def test_ages_in_another_unit_are_told(ages: np.ndarray, says: str) -> None:
    assert says in unit_problem(ages)


@pytest.mark.parametrize(
    "ages",
    [
        GROWN,
        GROWN / 500,
        np.r_[GROWN, np.full(50, -9.0), np.full(50, 999.0), np.nan],
        np.r_[GROWN, 200, 410, 530],
        np.array([]),
        np.array([400.0]),
    ],
    ids=["years", "neonates", "codes", "slips", "none", "one"],
)
def test_years_are_years_whatever_single_cells_say(ages: np.ndarray) -> None:
    assert unit_problem(ages) == ""


@pytest.mark.parametrize(
    ("text", "years"),
    [("026Y", 26), ("018M", 1.5), ("26 years", 26), ("26.5 yrs", 26.5), ("26 y.", 26), ("26 years old", 26)],
)
def test_a_unit_beside_the_number_counts(text: str, years: float) -> None:
    assert parse_age(text, per_year=12.0).years == years


@pytest.mark.parametrize("ages", [(GROWN - GROWN.min()) / np.ptp(GROWN), GROWN / 100])
def test_ages_scaled_to_lie_between_0_and_1_are_told(ages: np.ndarray) -> None:
    assert "scaled to the range from 0 to 1" in unit_problem(ages)
