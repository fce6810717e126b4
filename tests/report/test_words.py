"""Numbers must never be rounded across the line that a verdict hangs on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.report import words


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
    assert words.years(-1.26) == "−1.3"
    assert words.years(-0.01) == "0.0"
    assert words.count(None) == "unknown"
    assert words.people(1, "member") == "1 member"
    assert words.people(1200, "member") == "1,200 members"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.span({"low": 0.58, "high": 0.7}) == "0.58 to 0.70"


def test_auc_as_a_natural_frequency() -> None:
    assert words.in_hundred(0.64) == "64 times in 100"
    assert words.in_hundred(0.999) == "more than 99 times in 100"
    assert words.in_hundred(1.0) == "100 times in 100"


def test_the_attacker_in_words() -> None:
    threat = {"access": "outputs", "leaked": 0.5, "repeats": 5, "known_per_side": 30}
    text = " ".join(words.attacker(threat))
    assert "predictions only" in text
    assert "30 members and 30 non-members" in text
    assert "5 draws" in text
    assert "draws" not in " ".join(words.attacker(threat | {"repeats": 1}))
    nothing = " ".join(words.attacker(threat | {"access": "weights", "leaked": 0.0, "known_per_side": 0}))
    assert "weights are published" in nothing
    assert "nobody beforehand" in nothing


def test_what_was_not_seen_in_words(leaking: dict[str, Any]) -> None:
    assert "below 0.57" in words.unseen(leaking)[0]
    leaking["not_run"] = [{"attack": "activation", "reason": "no landmark"}]
    assert "One attack that could not be run" in " ".join(words.unseen(leaking))


def test_the_strongest_has_the_highest_simultaneous_bound(examples: dict[str, dict[str, Any]]) -> None:
    for audit in examples.values():
        best = words.strongest(audit)
        if best is None:
            assert audit["findings"] == []
            continue
        bounds = [words.judged_auc(audit, f)["simultaneous"]["low"] for f in audit["findings"]]
        assert words.judged_auc(audit, best)["simultaneous"]["low"] == max(bounds)
    confounded = examples["confounded"]
    assert words.judged_auc(confounded, confounded["findings"][0])["value"] < 0.55
    assert words.runner_up(examples["no_leak_shown"]) is None
    assert words.strongest({**confounded, "findings": []}) is None


def test_names_with_numbers_of_any_length_are_ordered() -> None:
    names = ["learner-" + "9" * 5000, "learner-10", "learner-2"]
    assert sorted(names, key=words.natural) == names[::-1]
