"""Every figure's values stand in a table, and no table shows what the people scored cannot resolve."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memberscan.report import tables

rates = st.lists(st.integers(0, 20), min_size=1, max_size=30).map(
    lambda xs: [0.0, *sorted(x / 20 for x in xs), 1.0]
)


@given(rates, st.floats(0, 1))
def test_true_positive_rate_against_a_naive_twin(fpr: list[float], rate: float) -> None:
    tpr = [i / (len(fpr) - 1) for i in range(len(fpr))]
    naive = max(t for f, t in zip(fpr, tpr, strict=True) if f <= rate + 1e-12)
    assert tables.true_positive_rate({"fpr": fpr, "tpr": tpr}, rate) == naive


def test_a_curve_that_starts_later_gives_zero() -> None:
    assert tables.true_positive_rate({"fpr": [0.2, 1.0], "tpr": [0.4, 1.0]}, 0.1) == 0.0


def test_rows_are_as_long_as_the_head(audit: dict[str, Any]) -> None:
    shown = [
        tables.attacks,
        tables.gains,
        tables.not_run,
        tables.low_false_alarms,
        tables.roc,
        tables.exposure,
        tables.residuals,
        tables.covariates,
        tables.null,
        tables.errors,
        tables.provenance,
    ]
    for make in shown:
        table = make(audit)
        assert all(len(row) == len(table.columns) for row in table.rows), make.__name__
    ppv = tables.named_correctly(audit, audit["findings"])
    assert all(len(row) == len(ppv.columns) for row in ppv.rows)


def test_unresolved_rates_are_na_with_their_reason(leaking: dict[str, Any]) -> None:
    table = tables.low_false_alarms(leaking)
    assert table.columns == ("Attack", "10% false alarms", "1% false alarms", "0.1% false alarms")
    for row in table.rows:
        assert row[1].text.endswith("%")
        assert row[3].text == "n/a"
        assert "needs 3000 non-members" in table.notes[row[3].mark - 1]
    ppv = tables.named_correctly(leaking, leaking["findings"])
    assert {row[1].text for row in ppv.rows} == {"10%", "1%"}


def test_a_rate_that_one_attack_lacks_is_na(leaking: dict[str, Any]) -> None:
    leaking["findings"][0]["tpr"] = []
    row = next(r for r in tables.low_false_alarms(leaking).rows if r[0].text == "error")
    assert [cell.text for cell in row[1:]] == ["n/a"] * 3


def test_roc_stops_where_one_non_member_is_left(leaking: dict[str, Any]) -> None:
    table = tables.roc(leaking)
    below = table.columns.index("0.1%")
    assert {row[below].text for row in table.rows} == {"n/a"}
    assert all(row[table.columns.index("10%")].text != "n/a" for row in table.rows)


def test_strata_have_their_own_column(examples: dict[str, dict[str, Any]]) -> None:
    assert "AUC within strata" not in tables.attacks(examples["leaks"]).columns
    table = tables.attacks(examples["confounded"])
    place = table.columns.index("AUC within strata")
    assert float(table.rows[0][place].text) < 0.55 < float(table.rows[0][place - 1].text)


def test_groups_have_units_and_reasons(examples: dict[str, dict[str, Any]]) -> None:
    rows = {row[0].text: row for row in tables.exposure(examples["inconclusive"]).rows}
    assert rows["75 to 85 years"][3] == tables.Cell("n/a", "fewer than 10 on one side")
    assert "sex: F" in rows


def test_differences_carry_their_sign(leaking: dict[str, Any]) -> None:
    leaking["gains"][0]["difference"] = {"value": -0.011, "low": -0.03, "high": 0.01}
    row = tables.gains(leaking).rows[0]
    assert [cell.text for cell in row[2:]] == ["−0.01", "−0.03 to +0.01"]
