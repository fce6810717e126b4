"""The study of false findings with references: one row per scenario and size, and nothing is found."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.auditing.weighing import Weighed
from memberscan.signals import View
from memberscan.studies import reference_calibration
from memberscan.studies.reference_calibration import SCENARIOS
from memberscan.studies.verdict_rates import audited
from memberscan.targets.predictions_table import PredictionsTable


def test_attacks_on_copies_are_among_those_that_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[set[str]] = []

    def listening(target: PredictionsTable, view: View) -> Weighed:
        found = audited(target, view)
        tried.append({each.attack for each in found.scores})
        return found

    monkeypatch.setattr(reference_calibration, "audited", listening)
    reference_calibration.reference_calibration(1, sides=(30,))
    wanted = {"stacking", "stacking:copies", "augmented-error", "lira"}
    assert len(tried) == len(SCENARIOS) and all(wanted <= names for names in tried)


def test_has_a_row_for_each_scenario_and_size() -> None:
    table = reference_calibration.reference_calibration(2, seed=1, sides=(30,))
    assert table["scenario"].tolist() == list(SCENARIOS)
    assert (table["leaks_high"] > table["leaks"]).all()
    # Two audits of 30 people a side: an attack that finds nothing is within 4.5 errors of .5.
    fair = table.loc[table["scenario"].str.contains("references")]
    error = np.sqrt(61 / (12 * 30 * 30) / 2)
    assert fair["smallest_mean_auc"].gt(0.5 - 4.5 * error).all()
    assert fair["largest_mean_auc"].lt(0.5 + 4.5 * error).all()
