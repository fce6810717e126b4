"""The least hidden differences are those at which a score that follows them alone reaches the bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from memberscan.studies.hidden_difference import hidden_differences


def auc_of_two_kinds(members: float, nonmembers: float, separation: float) -> float:
    """Return the AUC over all pairs, if shares of either side are of the kind that is ranked higher."""
    auc = 0.0
    for one, other in itertools.product((True, False), repeat=2):
        weight = (members if one else 1 - members) * (nonmembers if other else 1 - nonmembers)
        auc += weight * (0.5 if one == other else separation if one else 1 - separation)
    return auc


@pytest.mark.parametrize(("column", "separation"), [("two_kinds", 1), ("two_kinds_0.9", 0.9)])
def test_two_kinds_reach_the_bound(column: str, separation: float) -> None:
    for _, row in hidden_differences().dropna().iterrows():
        shares = (1 + row[column]) / 2, (1 - row[column]) / 2
        assert auc_of_two_kinds(*shares, separation) == pytest.approx(row["lower_bound"])


def test_a_weak_separation_cannot_reach_a_high_bound() -> None:
    table = hidden_differences().set_index("lower_bound")
    assert np.isnan(table.loc[0.9, "two_kinds_0.75"])
    assert table.loc[0.75, "two_kinds_0.75"] == pytest.approx(1)
    assert table.drop(index=0.9).notna().all(axis=None)


def test_both_equal_are_equal() -> None:
    for _, row in hidden_differences().iterrows():
        shares = (1 + row["both_equal"]) / 2, (1 - row["both_equal"]) / 2
        found = auc_of_two_kinds(*shares, (1 + row["both_equal"]) / 2)
        assert found == pytest.approx(row["lower_bound"])


def test_many_kinds_need_less() -> None:
    table = hidden_differences()
    assert (table["many_kinds"] < table["two_kinds"]).all()
    assert (1 - (1 - table["many_kinds"]) ** 2 / 2).tolist() == pytest.approx(table["lower_bound"].tolist())
