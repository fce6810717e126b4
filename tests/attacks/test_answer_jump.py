"""The jump of an answer against its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd

from memberscan.attacks.answer_jump import ANSWER_JUMP
from memberscan.signals import PREDICTION, View
from memberscan.signals.nearby_predictions import NEARBY_PREDICTION

from .conftest import scored


def test_the_score_is_the_absolute_difference_of_both_answers() -> None:
    scans = pd.DataFrame({"subject_id": ["a", "b", "c"], "label": [60.0, 50.0, 70.0]}, index=["1", "2", "3"])
    values = {PREDICTION: np.array([61.0, 48.0, 70.0]), NEARBY_PREDICTION: np.array([61.0, 52.0, 69.5])}
    np.testing.assert_array_equal(scored(ANSWER_JUMP, View(scans, values)), [0, 4, 0.5])
