from __future__ import annotations

import numpy as np

from memberscan.studies import retraining as study


def test_residuals_are_those_of_least_squares_on_members_and_on_others():
    rng = np.random.default_rng(0)
    inside, outside = study._trained(100, 200_000, rng)
    # With half as many parameters d as people n, E r^2 is (n - d) / n for members, 1 + d / (n - d - 1) for
    # others.
    assert abs((inside**2).mean() - 0.5) < 0.15
    assert abs((outside**2).mean() - (1 + 100 / 99)) < 0.6


def test_another_training_is_covered_less_often_than_the_mean_of_trainings(monkeypatch):
    monkeypatch.setattr(study, "SHARES", (0.1, 0.75))
    table = study.retraining(40, seed=1)
    assert table.parameters_over_members.tolist() == [0.1, 0.75]
    assert table.mean_auc.is_monotonic_increasing
    assert (table.filter(like="holds") <= 1).all().all()
    assert table.auc_holds_mean[0] > 0.8
